/* Headers of the system library libcrypto, behind one Swift wrapper in this package. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
