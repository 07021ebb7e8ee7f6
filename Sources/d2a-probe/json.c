#define _GNU_SOURCE
#include "json.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool comma;
static size_t list_count, list_bytes, list_omitted;

static void name_member(const char *name) {
    if (comma) putchar(',');
    comma = true;
    if (name != NULL) printf("\"%s\":", name);
}

void json_open(const char *name, char bracket) {
    name_member(name);
    putchar(bracket);
    comma = false;
    if (bracket == '[') list_count = list_bytes = list_omitted = 0;
}

void json_close(char bracket) {
    putchar(bracket);
    comma = true;
}

bool json_has_room(size_t bytes) {
    if (list_count < LIST_LIMIT && list_bytes + bytes <= LIST_BYTES) {
        list_count++;
        list_bytes += bytes;
        return true;
    }
    list_omitted++;
    return false;
}

void json_close_list(void) {
    if (list_omitted > 0) {
        name_member(NULL);
        printf("\"\\\\+%zu\"", list_omitted);
    }
    json_close(']');
}

void json_number(const char *name, long long number) {
    name_member(name);
    printf("%lld", number);
}

void json_bool(const char *name, bool value) {
    name_member(name);
    fputs(value ? "true" : "false", stdout);
}

/* The length of the UTF-8 sequence that begins here (RFC 3629), or 0 where none does. */
static size_t sequence(const unsigned char *bytes, size_t count) {
    unsigned char first = bytes[0];
    if (first < 0x80) return 1;
    size_t length = first >= 0xC2 && first <= 0xDF ? 2 : (first & 0xF0) == 0xE0 ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 0;
    if (length == 0 || length > count) return 0;
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80, high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (bytes[1] < low || bytes[1] > high) return 0;
    for (size_t index = 2; index < length; index++)
        if ((bytes[index] & 0xC0) != 0x80) return 0;
    return length;
}

void json_bytes(const char *name, const char *text, size_t count) {
    const unsigned char *bytes = (const unsigned char *)text;
    size_t shown = count < STRING_LIMIT ? count : STRING_LIMIT;
    name_member(name);
    putchar('"');
    size_t place = 0;
    while (place < shown) {
        size_t length = sequence(bytes + place, count - place);
        if (length > shown - place) break;
        unsigned char byte = bytes[place];
        if (length == 0)
            printf("\\\\x%02X", byte);
        else if (byte == '\\')
            fputs("\\\\\\\\", stdout);
        else if (byte == '"')
            fputs("\\\"", stdout);
        else if (byte < 0x20 || byte == 0x7F)
            printf("\\u%04X", byte);
        else
            fwrite(bytes + place, 1, length, stdout);
        place += length ? length : 1;
    }
    if (place < count) {
        uint64_t hash = 0xcbf29ce484222325;
        for (size_t index = 0; index < count; index++) hash = (hash ^ bytes[index]) * 0x100000001b3;
        printf("\\\\+%zu:%016llx", count - place, (unsigned long long)hash);
    }
    putchar('"');
}

void json_text(const char *name, const char *text) { json_bytes(name, text, strlen(text)); }

void json_format(const char *name, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_text(name, text);
}
