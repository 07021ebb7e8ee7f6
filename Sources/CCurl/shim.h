/* Headers of the system library libcurl, behind one Swift wrapper in this package. */
#include <curl/curl.h>

/* curl_easy_setopt and curl_easy_getinfo are macros over variadic functions, which Swift can't call. */
typedef size_t (*curl_shim_writer)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode curl_shim_set_long(CURL *handle, CURLoption option, long value) { return curl_easy_setopt(handle, option, value); }
static inline CURLcode curl_shim_set_text(CURL *handle, CURLoption option, const char *value) { return curl_easy_setopt(handle, option, value); }
static inline CURLcode curl_shim_set_list(CURL *handle, CURLoption option, struct curl_slist *value) { return curl_easy_setopt(handle, option, value); }
static inline CURLcode curl_shim_set_writer(CURL *handle, curl_shim_writer writer, void *context) {
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, writer);
    return curl_easy_setopt(handle, CURLOPT_WRITEDATA, context);
}
static inline CURLcode curl_shim_set_size(CURL *handle, CURLoption option, curl_off_t value) { return curl_easy_setopt(handle, option, value); }
typedef int (*curl_shim_seeker)(void *context, curl_off_t offset, int origin);
static inline CURLcode curl_shim_set_reader(CURL *handle, curl_shim_writer reader, curl_shim_seeker seeker, void *context) {
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, reader);
    curl_easy_setopt(handle, CURLOPT_READDATA, context);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, seeker);
    return curl_easy_setopt(handle, CURLOPT_SEEKDATA, context);
}
static inline CURLcode curl_shim_set_header_reader(CURL *handle, curl_shim_writer reader, void *context) {
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, reader);
    return curl_easy_setopt(handle, CURLOPT_HEADERDATA, context);
}
static inline CURLcode curl_shim_set_blob(CURL *handle, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return curl_easy_setopt(handle, option, &blob);
}
static inline long curl_shim_status(CURL *handle) {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* errno of the connection that failed. */
static inline long curl_shim_os_error(CURL *handle) {
    long number = 0;
    curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &number);
    return number;
}
