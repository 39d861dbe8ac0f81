{{/* What every pod of ours has in common. Call with (dict "root" $ "own" values-of-the-component). */}}
{{- define "pj.podCommon" -}}
serviceAccountName: {{ include "pj.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Spread constraints select the component's own pods unless they say otherwise. */}}
{{- define "pj.spread" -}}
{{- if .constraints -}}
topologySpreadConstraints:
  {{- range .constraints }}
  - {{- toYaml . | nindent 4 }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- include "pj.selector" $.ctx | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* What a sandbox mode asks of the pod. Rows: hostUsers, procMount, uid, capabilities, seccomp, AppArmor, privileged. Source:
README.md, "Sandbox modes". Empty seccomp or AppArmor in the values means the row's. */}}
{{- define "pj.sandboxModes" -}}
actions-only: {hostUsers: true, unmasked: false, uid: 1000, add: [], seccomp: RuntimeDefault, appArmor: RuntimeDefault, privileged: false}
pod: {hostUsers: false, unmasked: true, uid: 1000, add: [], seccomp: Localhost, appArmor: Unconfined, privileged: false}
userns: {hostUsers: false, unmasked: true, uid: 1000, add: [], seccomp: Localhost, appArmor: Unconfined, privileged: false}
userns-admin: {hostUsers: false, unmasked: true, uid: 0, add: [CHOWN, DAC_OVERRIDE, FOWNER, KILL, NET_ADMIN, SETFCAP, SETGID, SETPCAP, SETUID, SYS_ADMIN], seccomp: Unconfined, appArmor: Unconfined, privileged: false}
vm: {hostUsers: true, unmasked: false, uid: 0, add: [], seccomp: "", appArmor: "", privileged: true}
privileged: {hostUsers: true, unmasked: false, uid: 0, add: [], seccomp: "", appArmor: "", privileged: true}
{{- end -}}

{{/* {type, localhostProfile?} of a profile field. */}}
{{- define "pj.profile" -}}
type: {{ .type }}
{{- if eq .type "Localhost" }}
localhostProfile: {{ required (printf "%s: name the Localhost profile" .where) .file }}
{{- end }}
{{- end -}}
