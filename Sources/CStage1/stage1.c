#include "stage1.h"
