/* Headers of the system library libcrypto, behind one Swift wrapper in this package. */
#include <openssl/evp.h>
