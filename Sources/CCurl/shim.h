/* Headers of the system library libcurl, behind one Swift wrapper in this package. */
#include <curl/curl.h>
