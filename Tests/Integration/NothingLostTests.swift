import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("busybox") && Lab.has("cc")

/// Whatever is killed, and whatever the disk does: what was listed stays whole, and what is left over goes.
@Suite(.enabled(if: ready, "needs root, busybox and a C compiler (make setup)"))
struct NothingLostTests {
    /// Three images `0.aci` … of some megabytes, with names, and what says whether a store is as it should be.
    private static let functions =
        FetchTests.functions + """
            for n in 0 1 2; do
                tree; mkdir -p rootfs/bin; cp $(command -v busybox) rootfs/bin/busybox; ln -s busybox rootfs/bin/sh; head -c 2000000 /dev/urandom >rootfs/data
                for i in $(seq 100); do echo $i >rootfs/$i; done
                aci $n.aci example.com/$n ',"app":{"exec":["/bin/sh","-c","echo '$n'"],"user":"0","group":"0"}'
            done
            set +e
            # Where nothing waits for a disk: what the kernel was given outlives a process wherever it is.
            memory() { mkdir store; mount -t tmpfs -o size=${1:-200m} tmpfs store; trap 'umount -l store' EXIT; }
            fail() { echo "$@"; exit 1; }
            id() { echo sha512-$(sha512sum <$1 | cut -c1-128); }
            # All that is listed, with its trees, is what it was; and every blob what its name says, whether it is listed or not.
            whole() {
                d2a image verify >verified 2>&1 || fail "not well: $(cat verified)"
                d2a image list --no-legend >/dev/null || fail "no list"
                find store/cas/blob/sha512 store/cas/blob/sha256 -type f 2>/dev/null | while read -r f; do
                    case $f in */sha512/*) made=sha512-$(sha512sum <$f | cut -c1-128) ;; *) made=sha256-$(sha256sum <$f | cut -c1-64) ;; esac
                    [ $made = ${f##*/} ] || echo "broken: $f"
                done >broken; [ ! -s broken ] || fail "$(cat broken)"
            }
            # The next collection leaves nothing of what was killed, and a blob for each image.
            clean() {
                d2a gc --grace-period=0s --expire-prepared=0s >/dev/null 2>&1; d2a image gc "$@" >/dev/null || fail "no collection"
                left=$(find store/tmp store/downloads store/cas -name '.*' ! -name .lock 2>/dev/null; ls store/tmp store/downloads 2>/dev/null | grep -v :; find store/pods -mindepth 2 2>/dev/null)
                [ -z "$left" ] || fail "left: $left"
                [ $(find store/cas/blob/sha512 -type f 2>/dev/null | wc -l) = $(d2a image list --no-legend | wc -l) ] || fail "blobs without images"
            }
            finish() { whole; clean; for n in 0 1 2; do d2a fetch $n.aci >/dev/null || exit 1; [ "$(d2a run example.com/$n)" = $n ] || exit 1; done; whole; echo well; }

            """

    /// Commands that are killed at any moment of theirs. After each: all is whole, the next collection leaves nothing over, and the same
    /// command does what it should.
    @Test(arguments: ["fetch", "web", "import", "render", "prepare", "rm", "gc"]) func killedAtAnyMoment(_ kind: String) throws {
        let place = try Place()
        let kills = ProcessInfo.processInfo.environment["D2A_KILLS"].flatMap { Int($0) } ?? 60
        let outcome = try place.shell(
            Self.functions + """
                memory; case \(kind) in
                web) serve; trap 'umount -l store; kill -KILL -- -$server' EXIT ;;
                import) for n in 0 1 2; do cp $BUSYBOX $n.docker; expected=$(d2a fetch $n.docker); d2a image rm $expected >/dev/null 2>&1; done ;;
                esac
                work() {
                    case \(kind) in
                    fetch) d2a fetch $n.aci ;;
                    web) d2a fetch --quiet --insecure-options=image $web/$n.aci ;;
                    import) d2a fetch --quiet $n.docker ;;
                    render) d2a image render --overwrite example.com/$n out ;;
                    prepare) d2a prepare --quiet $PWD/$n.aci ;;
                    rm) d2a image rm example.com/$n ;;
                    gc) d2a image gc --grace-period=0s ;;
                    esac
                }
                # What it works on is there, and what it makes is not.
                before() {
                    case \(kind) in
                    render | rm) d2a fetch $n.aci ;;
                    gc) for i in 0 1 2; do d2a fetch $i.aci; done; d2a rm $(d2a prepare $PWD/$n.aci) ;;
                    import) d2a image rm $expected ;;
                    *) d2a image rm example.com/$n ;;
                    esac >/dev/null 2>&1
                }
                right() {
                    case \(kind) in
                    fetch | web) [ "$made" = $(id $n.aci) ] ;;
                    import) [ "$made" = $expected ] ;;
                    render) [ $(ls out/rootfs | wc -l) = 102 ] && tar -xOf $n.aci rootfs/data | cmp - out/rootfs/data && [ -z "$(ls -d .out* 2>/dev/null)" ] ;;
                    prepare) [ "$(d2a run-prepared "$made")" = $n ] ;;
                    rm) ! d2a image list --no-legend --fields=name | grep -x example.com/$n ;;
                    gc) [ $(d2a image list --no-legend | wc -l) = 0 ] && [ -z "$(ls -A store/cas/tree)" ] ;;
                    esac || fail "\(kind): $made $(cat error)"
                }
                killed=0
                for round in $(seq 400); do
                    n=$((RANDOM % 3)); before
                    # Now and then all processes at once, else the one that was called alone.
                    set -m; began=$(date +%s%N); work >/dev/null 2>&1 & victim=$!; set +m
                    usual=${took:-200000}; moment=$((RANDOM * usual / 32768)); sleep $((moment / 1000000)).$(printf %06d $((moment % 1000000)))
                    if [ $((RANDOM % 2)) = 0 ]; then kill -KILL -- -$victim; else kill -KILL $(pgrep -P $victim) $victim; fi 2>/dev/null
                    wait $victim 2>/dev/null; [ $? != 137 ] || killed=$((killed + 1))
                    # Who was called last may only just learn of it.
                    for i in $(seq 1000); do pgrep -r R,S,D,T -g $victim >/dev/null || break; sleep 0.02; done
                    whole; clean
                    before; began=$(date +%s%N); made=$(work 2>error) || fail "\(kind) after a kill: $(cat error)"; took=$((($(date +%s%N) - began) / 1000)); right
                    [ $killed -lt \(kills / 7) ] || break
                done
                [ $killed -ge \(kills / 7) ] || fail "only $killed kills"
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
                #include <sys/stat.h>
                #include <unistd.h>
                static int due(void) { static int calls; const char *at = getenv("FAIL_AT"); return at && ++calls == atoi(at) ? (errno = atoi(getenv("FAIL_AS")), 1) : 0; }
                int fsync(int d) { int (*real)(int) = dlsym(RTLD_NEXT, "fsync"); return due() ? -1 : real(d); }
                int syncfs(int d) { int (*real)(int) = dlsym(RTLD_NEXT, "syncfs"); return due() ? -1 : real(d); }
                int mkdirat(int a, const char *b, mode_t c) { int (*real)(int, const char *, mode_t) = dlsym(RTLD_NEXT, "mkdirat"); return due() ? -1 : real(a, b, c); }
                int renameat(int a, const char *b, int c, const char *d) { int (*real)(int, const char *, int, const char *) = dlsym(RTLD_NEXT, "renameat"); return due() ? -1 : real(a, b, c, d); }
                int linkat(int a, const char *b, int c, const char *d, int e) { int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat"); return due() ? -1 : real(a, b, c, d, e); }
                int unlinkat(int a, const char *b, int c) { int (*real)(int, const char *, int) = dlsym(RTLD_NEXT, "unlinkat"); return due() ? -1 : real(a, b, c); }
                ssize_t write(int a, const void *b, size_t c) { ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write"); return a > 2 && due() ? -1 : real(a, b, c); }
                END
                cc -shared -fPIC -o shim.so shim.c -ldl || exit 1
                memory
                # EIO and ENOSPC in turn, of one call after the other of each command, until it comes through.
                failed=0
                for command in fetch render prepare rm gc; do
                    through=0
                    for at in $(seq 30); do
                        n=0; [ $command = fetch ] || d2a fetch $n.aci >/dev/null || fail "no fetch"
                        case $command in
                        fetch) d2a image rm example.com/$n >/dev/null 2>&1; set -- d2a fetch $n.aci ;;
                        render) set -- d2a image render --overwrite example.com/$n out ;;
                        prepare) d2a image rm example.com/$n >/dev/null 2>&1; set -- d2a prepare $PWD/$n.aci ;;
                        rm) set -- d2a image rm example.com/$n ;;
                        gc) set -- d2a image gc --grace-period=0s ;;
                        esac
                        FAIL_AT=$at FAIL_AS=$((at % 2 ? 5 : 28)) LD_PRELOAD=$PWD/shim.so "$@" >/dev/null 2>error; status=$?
                        [ $status = 0 ] || { failed=$((failed + 1)); [ -s error ] || fail "no word of $*"; }
                        whole; clean; "$@" >/dev/null 2>error || fail "$* after a failure: $(cat error)"
                        [ -z "$(ls -d .out* 2>/dev/null)" ] || fail "left: $(ls -d .out*)"
                        # Of some calls the failure is no matter.
                        [ $status = 0 ] && through=$((through + 1)) || through=0; [ $through -lt 2 ] || break
                    done
                done
                [ $failed -gt 30 ] || fail "only $failed failed"
                finish
                """)
        #expect(outcome.output.hasSuffix("well\n"), "\(outcome)")
    }

    @Test func aDiskThatIsFull() throws {
        let place = try Place()
        let outcome = try place.shell(
            Self.functions + """
                memory 7m
                for n in 0 1 2 0 1 2; do d2a fetch $n.aci >/dev/null 2>>errors; whole; d2a image render example.com/$n store/out 2>>errors; whole; done
                grep -o 'No space left on device' errors | sort -u; grep -o 'free some space' errors | sort -u; ls store/tmp
                mount -o remount,size=100m store; finish
                """)
        #expect(outcome.output == "No space left on device\nfree some space\nwell\n", "\(outcome)")
    }

    @Test func manyAtOnce() throws {
        let place = try Place()
        let seconds = ProcessInfo.processInfo.environment["D2A_SOAK_SECONDS"] ?? "60"
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
                        5) if [ $((RANDOM % 2)) = 0 ]; then d2a image rm example.com/$n >/dev/null 2>&1; else d2a image gc --grace-period=0s >/dev/null && d2a gc --grace-period=0s >/dev/null || echo "gc"; fi ;;
                        esac 2>>errors
                    done >>wrong) &
                done
                wait; sort wrong | uniq -c; grep -v '^gc: ' errors | sort | uniq -c | sort -rn | head -9 >&2; finish
                """)
        #expect(outcome.output == "well\n", "\(outcome)")
    }
}
