/* Makes system calls by number and prints what they answer: "NUMBER ARGUMENT" on the command line, "32:NUMBER" by the 32-bit gate. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call32(long number) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

int main(int count, char **words) {
    for (int index = 1; index < count; index++) {
        long result;
        if (strncmp(words[index], "32:", 3) == 0) {
            result = call32(atol(words[index] + 3));
        } else {
            char *end;
            long number = strtol(words[index], &end, 0);
            result = syscall(number, *end == ',' ? strtoul(end + 1, NULL, 0) : 0, 0, 0, 0, 0, 0);
            if (result < 0) result = -errno;
        }
        printf("%s %s\n", words[index], result >= 0 ? "ok" : strerrorname_np((int)-result));
        fflush(stdout);
    }
    return 0;
}
