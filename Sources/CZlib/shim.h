/* Headers of the system library zlib, for the arithmetic of checksums alone. */
#include <zlib.h>
