/* JSON to standard output, of bytes that need not be text. */
#ifndef D2A_PROBE_JSON_H
#define D2A_PROBE_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Each string and list is cut, so that whatever an image holds, all is at most some megabytes. */
enum { STRING_LIMIT = 16384, LIST_LIMIT = 1024, LIST_BYTES = 262144 };

/* NAME is NULL for a member of a list. */
void json_open(const char *name, char bracket);
void json_close(char bracket);
void json_number(const char *name, long long number);
void json_bool(const char *name, bool value);
/* Valid UTF-8 stands as it is, but a backslash is doubled, and a byte that is not part of valid UTF-8 is \xNN. What is beyond the
 * limit is \+COUNT:HASH (FNV-1a, 64 bits, of all). */
void json_bytes(const char *name, const char *bytes, size_t count);
void json_text(const char *name, const char *text);
__attribute__((format(printf, 2, 3))) void json_format(const char *name, const char *format, ...);
/* Whether the list that is open has room for one more of so many bytes; those that have none are counted for json_close_list. */
bool json_has_room(size_t bytes);
/* Closes a list; one that was cut ends with the string "\+COUNT", which no other string is. */
void json_close_list(void);

#endif
