import Foundation
import Testing

private let images = Lab.isRoot && ["docker-registry", "skopeo", "busybox", "jq"].allSatisfy { Lab.has($0) }
private let slurm = images && ["slurmctld", "slurmd", "munged", "sbatch"].allSatisfy { Lab.has($0) }

/// Batches that are shared out among the tasks of a cluster.
@Suite(.enabled(if: images, "needs root, docker-registry, skopeo, busybox and jq (make setup)"))
struct ClusterTests {
    /// A registry with five images, of which two share a layer, and a list of them and one that isn't there.
    private func prepare(_ place: Place) throws -> RegistryServer {
        let registry = try RegistryServer(place)
        for number in 0..<5 {
            try registry.push(
                try place.archive("mkdir a; seq 10000 >a/base; touch -d @1000000000 a/base a .", "mkdir b; echo \(number % 4) >b/own"), as: "team/app:\(number)"
            )
        }
        let list = (0..<5).map { "\(registry.address)/team/app:\($0)\n" }.joined() + "\(registry.address)/team/none:1\n"
        try list.write(toFile: place.path + "/list", atomically: true, encoding: .utf8)
        return registry
    }

    private static let options = "--insecure-allow-http --attempts=1 --quiet"

    @Test(.enabled(if: slurm, "needs slurm-wlm and munge (make setup)")) func slurmRunsTheArray() throws {
        let place = try Place()
        let registry = try prepare(place)
        let outcome = try withExtendedLifetime(registry) {
            try place.shell(
                """
                mkdir slurm; mkfifo hold ready; \(Lab.package)/Tests/Fixtures/slurm slurm <hold >ready 2>slurm.err & exec 8>hold; read SLURM_CONF <ready; export SLURM_CONF
                job=$(d2a batch submit --engine=slurm --chunk=2 --parallel=2 --sbatch=--hold -o out list -- \(Self.options) 2>said); sed 's/^d2a: //' said
                d2a batch collect out >report; echo $?; head -1 report; grep -c 'unfinished: .*(task 2)' report
                scontrol release $job; for i in $(seq 600); do [ -z "$(squeue -h)" ] && break; sleep 0.2; done
                d2a batch collect out --report=report.json --report=report.csv >report; echo $?; head -1 report; grep -c '^failed: .*none' report
                jq -r '.images[] | "\\(.index) \\(.task) \\(.outcome) \\(.cause)"' report.json; jq '.totals.sizeBefore > .totals.sizeDistinct' report.json
                wc -l <report.csv; cat out/.d2a-batch/logs/*_2.log | grep -c none; sed 's/.*team/team/' out/.d2a-batch/failed.list
                d2a batch list -o alone \(Self.options) 2>/dev/null; echo $?; for f in alone/*.aci; do cmp $f out/${f#*/} || echo $f differs; done; ls out
                # Once more: what is there isn't converted again, and nothing gets worse.
                d2a batch submit --engine=slurm -o out list -- \(Self.options) >/dev/null 2>&1; for i in $(seq 600); do [ -z "$(squeue -h)" ] && break; sleep 0.2; done
                d2a batch collect out >report; echo $?; head -1 report
                d2a batch submit --engine=slurm -o out list -- --creds=u:p 2>&1 | head -1; d2a batch submit --engine=slurm -o out list -- --nonsense 2>/dev/null; echo $?
                exec 8>&-; wait
                """)
        }
        #expect(
            outcome.output == """
                6 images in 3 tasks; when they have ended: d2a batch collect out
                3
                6 images: 0 converted, 0 unchanged, 0 failed, 6 unfinished
                2
                3
                6 images: 5 converted, 0 unchanged, 1 failed, 0 unfinished
                1
                0 0 done null
                1 0 done null
                2 1 done null
                3 1 done null
                4 2 done null
                5 2 failed missing
                true
                7
                1
                team/none:1
                3
                team-app-0.aci
                team-app-1.aci
                team-app-2.aci
                team-app-3.aci
                team-app-4.aci
                3
                6 images: 0 converted, 5 unchanged, 1 failed, 0 unfinished
                Error: --creds would be seen by all: log in where the tasks run, or name a --registry-secret
                2

                """, "\(outcome)\((try? String(contentsOfFile: place.path + "/slurm.err", encoding: .utf8)) ?? "")")
    }

    /// The manifests are what Kubernetes' own schemas of several versions allow; and a task does its work with just what its pod would have: its
    /// environment, its files, its user, and nothing else that it could write to.
    @Test(.enabled(if: Lab.pythonPeers != nil && Lab.has("bwrap"), "needs bubblewrap, and python3 with venv (make setup)")) func kubernetesManifests() throws {
        let place = try Place()
        let registry = try prepare(place)
        let outcome = try withExtendedLifetime(registry) {
            try place.shell(
                """
                export PATH=\(Lab.pythonPeers ?? ""):$PATH
                d2a batch submit --engine=kubernetes --chunk=2 --parallel=4 --memory=512M --image=registry.example/d2a:1 --volume=shared:/data --namespace=batch \
                  --registry-secret=pull --environment-secret=keys --service-account=d2a --dry-run -o /data/out list -- \(Self.options) >full.yaml
                d2a batch submit --engine=kubernetes --image=d2a --dry-run -o s3://images/batch list >small.yaml
                for version in 1.31 1.33 1.35; do for f in full small; do kubernetes-validate --strict -k $version $f.yaml >said 2>&1 && echo valid || cat said; done; done
                sed 's/completions: 3/completions: many/' full.yaml >bad.yaml; kubernetes-validate --strict -k 1.33 bad.yaml >/dev/null 2>&1 || echo invalid
                cat >read.py <<'END'
                import shlex, sys, yaml
                config, job = yaml.safe_load_all(open("full.yaml"))
                assert config["data"]["list"] == open("list").read(), config
                assert job["spec"]["completions"] == 3 and job["spec"]["parallelism"] == 3 and job["spec"]["completionMode"] == "Indexed"
                container = job["spec"]["template"]["spec"]["containers"][0]
                open("batch-list", "w").write(config["data"]["list"])
                open("variables", "w").writelines("--setenv\\n%s\\n%s\\n" % (v["name"], v["value"]) for v in container["env"])
                open("command", "w").write(shlex.join(container["command"]))
                END
                python read.py; mkdir data registries; chmod 777 data; echo '{}' >registries/config.json
                pod() {
                    mounts=(); for d in /*; do case $d in /proc|/dev|/data|/scratch|/batch-list|/registries) ;; *) [ -L $d ] && mounts+=(--symlink $(readlink $d) $d) || mounts+=(--ro-bind $d $d);; esac; done
                    mapfile -t set <variables
                    bwrap --tmpfs / "${mounts[@]}" --proc /proc --dev /dev --bind data /data --tmpfs /scratch --ro-bind registries /registries --dir /batch-list \
                        --ro-bind batch-list /batch-list/list --remount-ro / --unshare-user --uid 65532 --gid 65532 --unshare-pid --die-with-parent --cap-drop ALL \
                        --clearenv "${set[@]}" --setenv PATH "$PATH" --setenv JOB_COMPLETION_INDEX $1 sh -c "$(cat command)"
                }
                pod 0; echo $?; ls data/out; pod 2 2>/dev/null; echo $?; pod 1; echo $?; pod 7 2>&1 | head -1; ls data/out
                d2a batch collect data/out | head -1; jq -r '.list[:5], .images, .chunk' data/out/.d2a-batch/submission.json
                d2a batch submit --engine=kubernetes -o out --image=x list 2>&1 | head -1; d2a batch submit --engine=kubernetes -o /b/out --volume=a:/data --image=x list 2>&1 | head -1
                for i in $(seq 40000); do echo registry.example/a/b/c/d/e:$i; done >long; d2a batch submit --engine=kubernetes --image=x -o s3://bucket long 2>&1 | head -1
                """)
        }
        #expect(
            outcome.output == """
                valid
                valid
                valid
                valid
                valid
                valid
                invalid
                0
                team-app-0.aci
                team-app-1.aci
                3
                0
                d2a: the batch has no task 7
                team-app-0.aci
                team-app-1.aci
                team-app-2.aci
                team-app-3.aci
                team-app-4.aci
                6 images: 5 converted, 0 unchanged, 1 failed, 0 unfinished
                list-
                6
                2
                Error: -o out: give the path as the pods see it, from / on
                Error: -o /b/out must lie in the volume that --volume CLAIM:/PATH mounts, or in an object store
                d2a: the list is longer than 1000000 bytes, which is what a ConfigMap holds

                """, "\(outcome)")
    }

    /// Output and records in an object store, and nothing else between the tasks.
    @Test(.enabled(if: Lab.pythonPeers != nil, "needs python3 with venv, and moto (make setup)")) func anObjectStoreInPlaceOfADirectory() throws {
        let place = try Place()
        let registry = try prepare(place)
        let server = try ObjectServer(place)
        let variables = server.variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        let outcome = try withExtendedLifetime(registry) {
            try place.shell(
                """
                export \(variables)
                task() { AWS_BATCH_JOB_ARRAY_INDEX=$1 d2a batch run-task --chunk=3 -o s3://images/b list \(Self.options) --no-cache --publish=s3://images/web --publish-name=example.com/ 2>/dev/null; echo $?; }
                d2a batch collect s3://images/b 2>&1 | head -1
                task 0; d2a batch collect s3://images/b | head -1
                task 1 & task 1; wait; d2a batch collect s3://images/b --report=report.json | head -1; jq -r '.images[].outcome' report.json | sort | uniq -c | tr -s ' '
                grep 'PUT /images/b/team' objects.py.log >before; task 0; grep 'PUT /images/b/team' objects.py.log | cmp - before && echo none again
                d2a batch collect s3://images/b | head -1; d2a batch list -o alone \(Self.options) 2>/dev/null
                d2a batch collect s3://images/b >/dev/null; echo $?
                for f in alone/*.aci; do curl -s $AWS_ENDPOINT_URL/images/b/${f#*/} | cmp - $f && echo same; done
                curl -s -o /dev/null -w '%{http_code}\\n' $AWS_ENDPOINT_URL/images/web/example.com/team/app-4-linux-amd64.aci
                # What tasks have published isn't brought again to be published; the page is written. Elsewhere all is published.
                publish="d2a batch collect s3://images/b --quiet --publish-name=example.com/"; grep -c 'GET /images/b/team' objects.py.log
                $publish --publish=s3://images/web; grep -c 'GET /images/b/team' objects.py.log; curl -s $AWS_ENDPOINT_URL/images/web/index.html | grep -c 'ac-discovery.*example.com'
                $publish --publish=www; grep -c 'GET /images/b/team' objects.py.log; (cd www && find . -name '*.aci' | LC_ALL=C sort)
                curl -s $AWS_ENDPOINT_URL/images/web/example.com/team/app-4-linux-amd64.aci | cmp - www/example.com/team/app-4-linux-amd64.aci && echo equal; ls /tmp/d2a-$$-* 2>/dev/null
                """)
        }
        #expect(
            outcome.output == """
                d2a: s3://images/b has no batch that was shared out among tasks
                0
                6 images: 3 converted, 0 unchanged, 0 failed, 3 unfinished
                3
                3
                6 images: 5 converted, 0 unchanged, 1 failed, 0 unfinished
                 5 done
                 1 failed
                0
                none again
                6 images: 2 converted, 3 unchanged, 1 failed, 0 unfinished
                3
                same
                same
                same
                same
                same
                200
                5
                5
                1
                10
                ./example.com/team/app-0-linux-amd64.aci
                ./example.com/team/app-1-linux-amd64.aci
                ./example.com/team/app-2-linux-amd64.aci
                ./example.com/team/app-3-linux-amd64.aci
                ./example.com/team/app-4-linux-amd64.aci
                equal

                """, "\(outcome)")
    }

    /// Where there are no locks, and no files without names, as on some network file systems: all tasks at once, each twice, with one cache.
    @Test(.enabled(if: Lab.has("python3"), "needs python3 (make setup)")) func withoutLocksAndEachTwice() throws {
        let place = try Place()
        let registry = try prepare(place)
        let outcome = try withExtendedLifetime(registry) {
            try place.shell(
                """
                lockless() { python3 \(Lab.package)/Tests/Fixtures/lockless.py "$@"; }
                lockless python3 -c 'import fcntl; fcntl.flock(open("list"), fcntl.LOCK_EX)' 2>&1 | tail -1
                for i in 0 1 2 0 1 2; do lockless d2a batch run-task $i list --chunk=2 -o out \(Self.options) 2>/dev/null; echo $? >>ended & done; wait; sort ended | uniq -c | tr -s ' '
                lockless d2a batch collect out | head -1 | sed 's/5 converted, 0 unch/5 of them unch/; s/[0-4] converted, [1-5] unch/5 of them unch/'; ls -A out out/.d2a-batch | grep -c '^[.]\\(new\\|tmp\\)'
                d2a batch list -o alone \(Self.options) 2>/dev/null; diff -rq -x .d2a-batch out alone; ls out | wc -l
                """)
        }
        #expect(
            outcome.output == """
                OSError: [Errno 37] No locks available
                 4 0
                 2 3
                6 images: 5 of them unchanged, 1 failed, 0 unfinished
                0
                5

                """, "\(outcome)")
    }
}
