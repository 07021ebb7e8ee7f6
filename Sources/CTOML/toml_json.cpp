#include "toml_json.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

// toml++ asserts, or with NDEBUG even assumes, that a table's name begins as one does, before it has looked: "[?" would end the program.
#undef NDEBUG
#define TOML_ASSERT(expression) \
    do { \
        if (!(expression)) throw std::runtime_error("it is no TOML"); \
    } while (false)
#include <toml++/toml.h>

char *toml_to_json(const char *text, size_t length, char *error, size_t error_size) {
    try {
        std::ostringstream json;
        json << toml::json_formatter{toml::parse(std::string_view(text, length))};
        return strdup(json.str().c_str());
    } catch (const toml::parse_error &failure) {
        snprintf(error, error_size, "line %u: %s", unsigned(failure.source().begin.line), failure.what());
    } catch (const std::exception &failure) {
        snprintf(error, error_size, "%s", failure.what());
    }
    return nullptr;
}
