/* TOML through the C++ library toml++, which Swift can't call. */
#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A TOML document as JSON. NULL where it is none, with what is wrong and where in `error`. The text is freed with free(). */
char *toml_to_json(const char *text, size_t length, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif
