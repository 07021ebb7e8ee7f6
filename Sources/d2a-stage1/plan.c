#include "stage1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void plan_read(struct plan *plan, int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) fail("can't read the plan");
    size_t size = (size_t)status.st_size;
    char *bytes = malloc(size + 1);
    if (bytes == NULL || pread(fd, bytes, size, 0) != (ssize_t)size) fail("can't read the plan");
    bytes[size] = 0;
    plan->next = bytes;
    plan->end = bytes + size;
}

char *plan_word(struct plan *plan) {
    if (plan->next >= plan->end) return NULL;
    char *word = plan->next;
    plan->next += strlen(word) + 1;
    return word;
}

char *plan_need(struct plan *plan) {
    char *word = plan_word(plan);
    errno = EPROTO;
    if (word == NULL) fail("the plan ends in the middle of a step");
    return word;
}

long long plan_number(struct plan *plan) { return strtoll(plan_need(plan), NULL, 10); }

char **plan_list(struct plan *plan) {
    size_t count = (size_t)plan_number(plan);
    char **list = calloc(count + 1, sizeof *list);
    if (list == NULL) fail("can't read the plan");
    for (size_t index = 0; index < count; index++) list[index] = plan_need(plan);
    return list;
}

struct plan plan_section(struct plan *plan) {
    size_t length = (size_t)plan_number(plan);
    errno = EPROTO;
    if (length > (size_t)(plan->end - plan->next)) fail("the plan ends in the middle of an app");
    struct plan section = {plan->next, plan->next + length};
    plan->next = section.end;
    return section;
}
