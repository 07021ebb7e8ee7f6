/* Headers of the system library libzstd, behind one Swift wrapper in this package. */
#include <zstd.h>
