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

    /// Whoever entered a pod, and the service that answers its apps.
    @Test func thoseBesideThePodKilled() throws {
        let seed = Int(ProcessInfo.processInfo.environment["D2A_FUZZ_SEED"] ?? "") ?? Int(time(nil)) % 32768
        let outcome = try place.shell(
            """
            RANDOM=\(seed); marker=8$RANDOM$RANDOM; export D2A_RUN_DIR=$PWD/service; killed=0
            services() { for p in $(pgrep -x d2a-metadata); do tr '\\0' '\\n' </proc/$p/environ 2>/dev/null | grep -qx "D2A_RUN_DIR=$D2A_RUN_DIR" && echo $p; done 2>/dev/null; }
            for i in $(seq 10); do
                rm -f uuid up; d2a run --mds-register --uuid-file-save=uuid \(id) -- sh -c "echo up; sleep $marker" >up 2>/dev/null & pod=$!
                if [ $((i % 2)) = 0 ]; then for n in $(seq 400); do [ -s up ] && break; sleep 0.05; done; else sleep 0.$((RANDOM % 3))$((RANDOM % 10)); fi
                for p in $(services); do kill -KILL $p && killed=$((killed + 1)); done
                d2a enter $(cat uuid) sleep $marker >/dev/null 2>&1 & enter=$!
                sleep 0.$((RANDOM % 3))$((RANDOM % 10)); case $((i % 3)) in 0) kill -KILL $(pgrep -P $enter) $enter ;; 1) kill -KILL $(pgrep -P $enter) ;; 2) kill -KILL $enter ;; esac 2>/dev/null
                kill -KILL $pod; wait 2>/dev/null
            done
            [ $killed -ge 5 ] || echo "only $killed services killed"
            # A pod finds one again, whatever became of the last.
            d2a run --rm --mds-register \(id) -- sh -c 'wget -qO- $AC_METADATA_URL/acMetadata/v1/pod/uuid | wc -c'
            for i in $(seq 200); do [ -z "$(services)$(pgrep -f "sleep $marker")" ] && break; sleep 0.1; done
            services | wc -l; pgrep -fc "sleep $marker"; d2a list --no-legend | grep -c running; d2a gc --grace-period=0s >/dev/null; d2a list --no-legend | wc -l
            ls service/metadata/pods | wc -l
            """)
        #expect(outcome.output == "36\n0\n0\n0\n0\n0\n", "seed \(seed): \(outcome)")
        try place.expectNothingLeft()
    }
}
