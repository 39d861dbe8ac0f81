{{/* Names, labels, image. */}}

{{- define "pj.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "pj.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "pj.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pj.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a Service, a PodDisruptionBudget or a NetworkPolicy selects. Call with (dict "root" $ "component" "api"). */}}
{{- define "pj.selector" -}}
app.kubernetes.io/name: {{ include "pj.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
pithyjaunt/pool: {{ . }}
{{- end }}
{{- end -}}

{{- define "pj.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "pj.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods: nothing that changes with the chart's version, or every upgrade would start every pod anew. */}}
{{- define "pj.podLabels" -}}
{{ include "pj.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pj.image" -}}
{{- $i := .Values.image -}}
{{- $repository := required "image.repository: name the image that you built with the Dockerfile of the repository and pushed" $i.repository -}}
{{- if $i.digest -}}
{{- printf "%s@%s" $repository $i.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $i.tag) -}}
{{- end -}}
{{- end -}}

{{- define "pj.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pj.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "pj.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- printf "%s://%s" (ternary "https" "http" (not (empty .Values.ingress.tls))) (first .Values.ingress.hosts) -}}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
{{- printf "https://%s" (first .Values.httpRoute.hostnames) -}}
{{- else -}}
{{- include "pj.serviceUrl" . -}}
{{- end -}}
{{- end -}}

{{- define "pj.serviceUrl" -}}
{{- printf "http://%s-api.%s.svc:%v" (include "pj.fullname" .) .Release.Namespace .Values.api.service.port -}}
{{- end -}}

{{/* A value as the text of an environment variable: YAML's 1000000 must not become 1e+06. */}}
{{- define "pj.scalar" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{- int64 . -}}{{- else -}}{{- . -}}{{- end -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* Whole seconds of a duration such as 90s, 10m or 1h, rounded up. */}}
{{- define "pj.seconds" -}}
{{- $n := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "(ms|s|m|h|d)$" . -}}
{{- if eq $unit "ms" -}}{{- div (add $n 999) 1000 -}}
{{- else -}}{{- mul $n (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) -}}
{{- end -}}
{{- end -}}

{{/* One pool with poolDefaults filled in, as YAML. Call with (dict "root" $ "pool" name). */}}
{{- define "pj.pool" -}}
{{- $own := index .root.Values.runner.pools .pool | default dict -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.runner.poolDefaults) (deepCopy $own)) -}}
{{- end -}}
