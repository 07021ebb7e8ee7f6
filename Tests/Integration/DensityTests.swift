import Foundation
import Testing

private let ready = Lab.runsPods

/// Many pods, and pods whose processes are killed: nothing stays that d2a gc doesn't clean.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct DensityTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    @Test func fiftyAtOnceAndManyAfterOneAnother() throws {
        let outcome = try place.shell(
            """
            for i in $(seq 50); do d2a run --rm --net=none --uuid-file-save=uuid.$i \(id) -- sh -c 'echo up; exec sleep 1000' >up.$i 2>err.$i & pods[i]=$!; done
            for i in $(seq 1200); do [ $(cat up.* | wc -l) -lt 50 ] || break; sleep 0.1; done
            d2a list --no-legend | grep -c running
            # What a pod takes beside its app, in KiB: its share of pages, of d2a, keeper and init.
            init=$(cat store/pods/run/$(cat uuid.1)/pid); keeper=$(awk '/^PPid/{print $2}' /proc/$init/status)
            sum=0; for p in $init $keeper; do sum=$((sum + $(awk '/^Pss:/{print $2}' /proc/$p/smaps_rollup))); done; [ $sum -lt 3072 ] && echo small
            for i in $(seq 50); do d2a stop --force $(cat uuid.$i) >/dev/null; done
            for i in $(seq 50); do wait ${pods[i]}; echo $?; done >codes; sort codes | uniq -c | tr -s ' '
            for i in $(seq 60); do d2a run --rm --net=none \(id) -- sh -c 'exit 3' 2>/dev/null; echo $?; done | sort | uniq -c | tr -s ' '
            """)
        #expect(outcome.output == "50\nsmall\n 50 137\n 60 3\n", "\(outcome)")
        try place.expectNothingLeft()
    }

    /// Each of our processes, at moments that are other ones each time; the seed is printed.
    @Test func killedAtAnyMoment() throws {
        let seed = Int(ProcessInfo.processInfo.environment["D2A_FUZZ_SEED"] ?? "") ?? Int(time(nil)) % 32768
        let outcome = try place.shell(
            """
            RANDOM=\(seed); marker=9$RANDOM$RANDOM
            for i in $(seq 24); do
                d2a run --net=none \(id) --name=a -- sh -c "sleep $marker" --- \(id) --name=b -- sh -c "sleep $marker" >/dev/null 2>&1 & pod=$!
                sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
                case $((i % 3)) in
                0) victim=$pod ;;
                1) victim=$(pgrep -P $pod) ;;
                2) keeper=$(pgrep -P $pod); victim=${keeper:+$(pgrep -P $keeper)} ;;
                esac
                kill -KILL ${victim:-$pod} 2>/dev/null || true
                # Too early for a victim that wasn't there yet: then the pod runs, and is ended by d2a's own death.
                sleep 0.05; kill -KILL $pod 2>/dev/null; wait $pod 2>/dev/null
            done
            for i in $(seq 100); do pgrep -f "sleep $marker" >/dev/null || break; sleep 0.1; done
            pgrep -fc "sleep $marker"; d2a list --no-legend | grep -c running
            d2a gc --grace-period=0s >/dev/null; d2a list --no-legend | wc -l
            """)
        #expect(outcome.output == "0\n0\n0\n", "seed \(seed): \(outcome)")
        try place.expectNothingLeft()
    }
}
