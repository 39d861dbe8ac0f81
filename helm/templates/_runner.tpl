{{/* Seconds that a runner's pod has to stop: its tasks' time and a minute, or what is given. */}}
{{- define "pj.grace" -}}
{{- $least := add (include "pj.seconds" .p.taskTimeout | int64) 60 -}}
{{- $grace := default $least .p.terminationGracePeriodSeconds | int64 -}}
{{- if lt $grace $least -}}
{{- fail (printf "runner.pools.%s.terminationGracePeriodSeconds: %d is less than taskTimeout and a minute (%d): tasks would be cut short by every roll-out" .name $grace $least) -}}
{{- end -}}
{{- $grace -}}
{{- end -}}

{{/* A runner's pod: metadata and spec. Call with (dict "root" $ "name" pool "p" the pool with its defaults "job" true for a KEDA ScaledJob). */}}
{{- define "pj.runnerPod" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $p := .p -}}
{{- $job := .job -}}
{{- $ctx := dict "root" $root "component" "runner" "pool" $name -}}
{{- $box := $p.sandbox -}}
{{- $mode := index (fromYaml (include "pj.sandboxModes" $root)) $box.mode -}}
{{- $seccomp := default $mode.seccomp $box.seccompType -}}
{{- $appArmor := default $mode.appArmor $box.appArmorType -}}
{{- $own := list $root.Values.runner.settings $p.settings (dict
    "PJ_RUNNER_SLOTS" $p.slots "PJ_TASK_TIMEOUT" $p.taskTimeout "PJ_STATE_DIR" "/var/lib/pithyjaunt"
    "PJ_METRICS_LISTEN" (printf "%s:%v" $root.Values.runner.listenHost $root.Values.metrics.port)) -}}
{{- with $p.labels -}}
{{- $own = append $own (dict "PJ_RUNNER_LABELS" (join "," .)) -}}
{{- end -}}
{{- if eq $box.mode "actions-only" -}}
{{- $own = append $own (dict "PJ_RUNNER_EXECUTORS" "github_actions") -}}
{{- end -}}
{{- if $job -}}
{{- $own = append $own (dict "PJ_RUNNER_TASKS" 1 "PJ_RUNNER_IDLE" $p.keda.jobIdle) -}}
{{- end -}}
metadata:
  labels:
    {{- include "pj.podLabels" $ctx | nindent 4 }}
    {{- with $p.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- include "pj.checksums" $root | nindent 4 }}
    {{- with $p.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "pj.podCommon" (dict "root" $root "own" $p) | nindent 2 }}
  # A runner that is asked to stop takes nothing new and finishes what it has.
  terminationGracePeriodSeconds: {{ include "pj.grace" . }}
  {{- if $job }}
  restartPolicy: Never
  {{- end }}
  {{- if not $mode.hostUsers }}
  hostUsers: false
  {{- end }}
  {{- with $box.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsUser: {{ $mode.uid }}
    runAsGroup: {{ $mode.uid }}
    {{- if $mode.uid }}
    runAsNonRoot: true
    {{- end }}
    fsGroup: {{ $mode.uid }}
    {{- with $box.seLinuxType }}
    seLinuxOptions: {type: {{ . }}}
    {{- end }}
  {{- include "pj.spread" (dict "ctx" $ctx "constraints" $p.topologySpreadConstraints) | nindent 2 }}
  containers:
    - name: runner
      image: {{ include "pj.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [pj-runner]
      env:
        - name: PJ_RUNNER_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- include "pj.env" (dict "root" $root "program" "runner" "own" $own) | trim | nindent 8 }}
        {{- with $p.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: metrics, containerPort: {{ $root.Values.metrics.port }}}
      startupProbe:
        httpGet: {path: /readyz, port: metrics}
        {{- toYaml $p.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: metrics}
        {{- toYaml $p.livenessProbe | nindent 8 }}
      {{- if not $job }}
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        {{- toYaml $p.readinessProbe | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $p.resources | nindent 8 }}
      securityContext:
        {{- if $mode.privileged }}
        privileged: true
        {{- else }}
        allowPrivilegeEscalation: false
        capabilities:
          drop: [ALL]
          {{- with $mode.add }}
          add: {{ toJson . }}
          {{- end }}
        {{- with $seccomp }}
        seccompProfile:
          {{- include "pj.profile" (dict "type" . "file" $box.seccompLocalhostProfile "where" (printf "runner.pools.%s.sandbox.seccompLocalhostProfile" $name)) | nindent 10 }}
        {{- end }}
        {{- with $appArmor }}
        appArmorProfile:
          {{- include "pj.profile" (dict "type" . "file" $box.appArmorLocalhostProfile "where" (printf "runner.pools.%s.sandbox.appArmorLocalhostProfile" $name)) | nindent 10 }}
        {{- end }}
        {{- if $mode.unmasked }}
        procMount: Unmasked
        {{- end }}
        {{- end }}
        readOnlyRootFilesystem: true
      volumeMounts:
        {{- include "pj.settingsMounts" (dict "root" $root "program" "runner") | nindent 8 }}
        - {name: state, mountPath: /var/lib/pithyjaunt}
        - {name: tmp, mountPath: /tmp}
        - {name: run, mountPath: /run}
        {{- with $p.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $p.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "pj.settingsVolumes" (dict "root" $root "program" "runner") | nindent 4 }}
    - name: state
      {{- if $p.workspace.storageClassName }}
      ephemeral:
        volumeClaimTemplate:
          spec:
            accessModes: [ReadWriteOnce]
            {{- if ne $p.workspace.storageClassName "-" }}
            storageClassName: {{ $p.workspace.storageClassName }}
            {{- end }}
            resources: {requests: {storage: {{ $p.workspace.size }}}}
      {{- else }}
      emptyDir: {sizeLimit: {{ $p.workspace.size }}}
      {{- end }}
    - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
    - {name: run, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
    {{- with $p.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What no schema can say of the pools, each alone and all together. Fails, or is empty. */}}
{{- define "pj.checkPools" -}}
{{- $root := . -}}
{{- $modes := fromYaml (include "pj.sandboxModes" $root) -}}
{{- $count := dict "all" 0 "actions" 0 "steady" 0 -}}
{{- range $name, $_ := .Values.runner.pools -}}
{{- $p := fromYaml (include "pj.pool" (dict "root" $root "pool" $name)) -}}
{{- if $p.enabled -}}
{{- $box := $p.sandbox -}}
{{- $mode := index $modes $box.mode -}}
{{- $job := include "pj.isJob" $p -}}
{{- $_ := set $count "all" (add1 $count.all) -}}
{{- if eq $box.mode "actions-only" }}{{ $_ := set $count "actions" (add1 $count.actions) }}{{ end -}}
{{- if not $job }}{{ $_ := set $count "steady" (add1 $count.steady) }}{{ end -}}
{{- if and (eq $box.mode "privileged") (not $box.acknowledgePrivileged) -}}
{{- fail (printf "runner.pools.%s.sandbox.acknowledgePrivileged: set it to true if you accept what mode privileged means (README.md, \"Sandbox modes\")" $name) -}}
{{- end -}}
{{- if and (eq $box.mode "vm") (not $box.runtimeClassName) -}}
{{- fail (printf "runner.pools.%s.sandbox.runtimeClassName: mode vm needs the RuntimeClass of your virtual machines" $name) -}}
{{- end -}}
{{- if and (eq $box.mode "actions-only") (or $box.seccompType $box.appArmorType) (or (eq $box.seccompType "Unconfined") (eq $box.appArmorType "Unconfined")) -}}
{{- fail (printf "runner.pools.%s.sandbox: mode actions-only makes no box and needs nothing unconfined" $name) -}}
{{- end -}}
{{- if and $p.keda.enabled (not $p.keda.tokenSecret) -}}
{{- fail (printf "runner.pools.%s.keda.tokenSecret: name the Secret with a token of scope admin:read" $name) -}}
{{- end -}}
{{- if and (eq $box.mode "pod") (not $p.keda.enabled) -}}
{{- fail (printf "runner.pools.%s.keda.enabled: mode pod gives each task a pod of its own, which KEDA starts (ScaledJob)" $name) -}}
{{- end -}}
{{- if and $job (ne (int $p.slots) 1) -}}
{{- fail (printf "runner.pools.%s.slots: must be 1, since each pod of a ScaledJob carries out one task" $name) -}}
{{- end -}}
{{- if and (not $mode.hostUsers) (semverCompare "<1.33-0" $root.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "runner.pools.%s.sandbox.mode: %s needs hostUsers: false and procMount: Unmasked, which Kubernetes has by default from 1.33; this is %s" $name $box.mode $root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int $count.all) 0) (eq (int $count.steady) 0) -}}
{{- fail "runner.pools: at least one pool must be a Deployment (keda.kind ScaledObject, or no KEDA): it takes up lost tasks, sends mails and clears up while no task runs" -}}
{{- end -}}
{{- if and (gt (int $count.actions) 0) (ne (int $count.actions) (int $count.all)) -}}
{{- fail "runner.pools: mode actions-only stands for all pools or for none: they take from one queue, and such a runner fails a task that wants a box" -}}
{{- end -}}
{{- if and (gt (int $count.actions) 0) (eq (toString (default "github_actions" .Values.api.settings.PJ_EXECUTOR)) "sandbox") -}}
{{- fail "api.settings.PJ_EXECUTOR: must be github_actions, since all pools are actions-only" -}}
{{- end -}}
{{- end -}}

{{/* Says something for a pool whose pods KEDA starts, one a task. */}}
{{- define "pj.isJob" -}}
{{- if and .keda.enabled (or (eq .keda.kind "ScaledJob") (eq .sandbox.mode "pod")) -}}yes{{- end -}}
{{- end -}}

{{/* Says something when all pools only start workflows. */}}
{{- define "pj.actionsOnly" -}}
{{- $root := . -}}
{{- range $name, $_ := .Values.runner.pools -}}
{{- $p := fromYaml (include "pj.pool" (dict "root" $root "pool" $name)) -}}
{{- if and $p.enabled (eq $p.sandbox.mode "actions-only") -}}yes{{- end -}}
{{- end -}}
{{- end -}}
