import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("busybox") && Lab.has("cc")

/// Whatever is killed, and whatever the disk does: what was listed stays whole, and what is left over goes.
@Suite(.enabled(if: ready, "needs root, busybox and a C compiler (make setup)"), .serialized)
struct NothingLostTests {
    /// Three images `0.aci` … of some megabytes, with names, and `check`: all that is listed is as it should be, and nothing is left over.
    private static let functions =
        FetchTests.functions + """
            for n in 0 1 2; do
                tree; mkdir -p rootfs/bin; cp $(command -v busybox) rootfs/bin/busybox; ln -s busybox rootfs/bin/sh; head -c 2000000 /dev/urandom >rootfs/data
                for i in $(seq 100); do echo $i >rootfs/$i; done
                aci $n.aci example.com/$n ',"app":{"exec":["/bin/sh","-c","echo '$n'"],"user":"0","group":"0"}'
            done
            set +e
            leftovers() { find store/tmp store/downloads store/cas -name '.*' ! -name .lock 2>/dev/null; ls store/tmp 2>/dev/null; }
            check() {
                d2a image verify >verified 2>&1 || { echo "not well: $(cat verified)"; exit 1; }
                d2a image list --no-legend >/dev/null || exit 1
            }
            # The same, of what has changed since it was looked at last.
            declare -A seen
            changed() { [ "${seen[$1]}" != "$(stat -c '%i %s %Y %Z' $1 2>&1)" ] || return 1; seen[$1]=$(stat -c '%i %s %Y %Z' $1 2>&1); }
            look() {
                for id in $(d2a image list --full --no-legend --fields=id || echo none); do
                    blob=store/cas/blob/sha512/${id:7:2}/$id
                    if changed $blob; then [ sha512-$(sha512sum <$blob | cut -c1-128) = $id ] || { echo "broken: $id"; exit 1; }; fi
                    d2a image cat-manifest $id >/dev/null || exit 1
                    if [ -e store/cas/tree/$id ] && changed store/cas/tree/$id; then d2a image verify $id >verified 2>&1 || { echo "not well: $(cat verified)"; exit 1; }; fi
                done
            }
            finish() {
                check; d2a gc --grace-period=0s --expire-prepared=0s >/dev/null 2>&1; d2a image gc >/dev/null || exit 1; [ -z "$(leftovers)" ] || { echo "left: $(leftovers)"; exit 1; }
                for f in $(find store/cas/blob/sha512 -type f); do [ sha512-$(sha512sum <$f | cut -c1-128) = $(basename $f) ] || { echo "broken: $f"; exit 1; }; done
                [ $(find store/cas/blob/sha512 -type f | wc -l) = $(d2a image list --no-legend | wc -l) ] || { echo "blobs without images"; exit 1; }
                for n in 0 1 2; do d2a fetch $n.aci >/dev/null || exit 1; [ "$(d2a run example.com/$n)" = $n ] || exit 1; done; check; echo well
            }

            """

    @Test func killedAtAnyMoment() throws {
        let place = try Place()
        let rounds = ProcessInfo.processInfo.environment["D2A_KILLS"] ?? "210"
        let outcome = try place.shell(
            Self.functions + """
                for round in $(seq \(rounds)); do
                    n=$((RANDOM % 3))
                    case $((RANDOM % 7)) in
                    0 | 1) d2a fetch $n.aci ;;
                    2 | 3) rm -rf out; d2a image render --overwrite example.com/$n out || d2a fetch $n.aci ;;
                    4) d2a image rm example.com/$n ;;
                    5) d2a image gc --grace-period=0s ;;
                    6) d2a prepare $PWD/$n.aci ;;
                    esac >/dev/null 2>&1 & victim=$!
                    sleep 0.$(printf %03d $((RANDOM % 220))); for child in $(pgrep -P $victim) $victim; do kill -KILL $child; done 2>/dev/null; wait $victim 2>/dev/null
                    look; [ $((round % 10)) != 0 ] || check
                done
                finish
                """)
        #expect(outcome.output.hasSuffix("well\n"), "\(outcome)")
    }

    @Test func aDiskThatFails() throws {
        let place = try Place()
        let outcome = try place.shell(
            Self.functions + """
                cat >shim.c <<'END'
                #define _GNU_SOURCE
                #include <dlfcn.h>
                #include <errno.h>
                #include <stdlib.h>
                #include <unistd.h>
                static int due(void) { static int calls; const char *at = getenv("EIO_AT"); return at && ++calls == atoi(at) ? (errno = EIO, 1) : 0; }
                int fsync(int d) { int (*real)(int) = dlsym(RTLD_NEXT, "fsync"); return due() ? -1 : real(d); }
                int renameat(int a, const char *b, int c, const char *d) { int (*real)(int, const char *, int, const char *) = dlsym(RTLD_NEXT, "renameat"); return due() ? -1 : real(a, b, c, d); }
                int linkat(int a, const char *b, int c, const char *d, int e) { int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat"); return due() ? -1 : real(a, b, c, d, e); }
                int unlinkat(int a, const char *b, int c) { int (*real)(int, const char *, int) = dlsym(RTLD_NEXT, "unlinkat"); return due() ? -1 : real(a, b, c); }
                ssize_t write(int a, const void *b, size_t c) { ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write"); return a > 2 && due() ? -1 : real(a, b, c); }
                END
                cc -shared -fPIC -o shim.so shim.c -ldl || exit 1
                failed=0
                for at in $(seq 24); do
                    EIO_AT=$at LD_PRELOAD=$PWD/shim.so d2a fetch $((at % 3)).aci >/dev/null 2>error || { failed=$((failed + 1)); [ -s error ] || { echo "no word"; exit 1; }; }
                    check
                    EIO_AT=$at LD_PRELOAD=$PWD/shim.so d2a image rm example.com/$((at % 3)) >/dev/null 2>&1
                    check
                done
                [ $failed -gt 10 ] || { echo "only $failed failed"; exit 1; }
                finish
                """)
        #expect(outcome.output.hasSuffix("well\n"), "\(outcome)")
    }

    @Test func aDiskThatIsFull() throws {
        let place = try Place()
        let outcome = try place.shell(
            Self.functions + """
                mkdir store; mount -t tmpfs -o size=7m tmpfs store; trap 'umount -l store' EXIT
                for n in 0 1 2 0 1 2; do d2a fetch $n.aci >/dev/null 2>>errors; check; d2a image render example.com/$n store/out 2>>errors; check; done
                grep -o 'No space left on device' errors | sort -u; grep -o 'free some space' errors | sort -u; ls store/tmp
                mount -o remount,size=100m store; finish
                """)
        #expect(outcome.output == "No space left on device\nfree some space\nwell\n", "\(outcome)")
    }

    @Test func manyAtOnce() throws {
        let place = try Place()
        let seconds = ProcessInfo.processInfo.environment["D2A_SOAK_SECONDS"] ?? "12"
        let outcome = try place.shell(
            Self.functions + """
                end=$(($(date +%s) + \(seconds)))
                for worker in $(seq 32); do
                    (while [ $(date +%s) -lt $end ]; do
                        n=$((RANDOM % 3))
                        case $((RANDOM % 6)) in
                        0 | 1) [ "$(d2a fetch $n.aci | cut -c1-7)" = sha512- ] || echo "fetch" ;;
                        2 | 3) [ "$(d2a run $PWD/$n.aci)" = $n ] || echo "run" ;;
                        4) d2a image list --no-legend | cut -f1 | sort | uniq -d | grep . && echo "twice" ;;
                        5) if [ $((RANDOM % 2)) = 0 ]; then d2a image rm example.com/$n >/dev/null 2>&1; else d2a image gc --grace-period=0s >/dev/null || echo "gc"; fi ;;
                        esac 2>>errors
                    done >>wrong) &
                done
                wait; sort wrong | uniq -c; sort errors | uniq -c | sort -rn | head -5 >&2; finish
                """)
        #expect(outcome.output == "well\n", "\(outcome)")
    }
}
