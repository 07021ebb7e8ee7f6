/* Headers of the system library libisal, behind one Swift wrapper in this package. */
#include <stdint.h>
#include <isa-l/igzip_lib.h>
#include <isa-l/crc.h>
