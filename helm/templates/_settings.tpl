{{/* Settings and secrets: which program knows which name. A test compares these tables with the programs' own. */}}

{{- define "pj.secretNames" -}}
api: [GITHUB_APP_PRIVATE_KEY, GITHUB_TOKEN, GITHUB_WEBHOOK_SECRET, PJ_BOOTSTRAP_TOKEN, PJ_REDIS_PASSWORD, PJ_REDIS_SENTINEL_PASSWORD, PJ_SECRET_KEY]
runner: [ANTHROPIC_API_KEY, CODERABBIT_API_KEY, GITHUB_APP_PRIVATE_KEY, GITHUB_TOKEN, OPENAI_API_KEY, PJ_NOTIFY_SECRET, PJ_REDIS_PASSWORD, PJ_REDIS_SENTINEL_PASSWORD, PJ_SECRET_KEY, PJ_SMTP_PASSWORD]
{{- end -}}

{{/* Secrets that the chart makes itself when they are not given. */}}
{{- define "pj.generatedNames" -}}
{{- $names := list "PJ_SECRET_KEY" "PJ_BOOTSTRAP_TOKEN" -}}
{{- if eq .Values.redis.mode "trial" -}}
{{- $names = append $names "PJ_REDIS_PASSWORD" -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "pj.secretGiven" -}}
{{- $s := index .root.Values.secrets .name | default dict -}}
{{- if or $s.value $s.existingSecret -}}yes{{- end -}}
{{- end -}}

{{/* {secret, key} of one secret setting as YAML; nothing when it is not set. */}}
{{- define "pj.secretRef" -}}
{{- $s := index .root.Values.secrets .name | default dict -}}
{{- if $s.existingSecret -}}
secret: {{ $s.existingSecret }}
key: {{ default .name $s.key }}
{{- else if $s.value -}}
secret: {{ include "pj.fullname" .root }}
key: {{ .name }}
{{- else if has .name (splitList "," (include "pj.generatedNames" .root)) -}}
{{- if not .root.Values.generateSecrets -}}
{{- fail (printf "secrets.%s: give {value} or {existingSecret}, since generateSecrets is false" .name) -}}
{{- end -}}
secret: {{ include "pj.fullname" .root }}-generated
key: {{ .name }}
{{- end -}}
{{- end -}}

{{- define "pj.redisUrl" -}}
{{- if eq .Values.redis.mode "trial" -}}
redis://{{ include "pj.fullname" . }}-redis:6379/0
{{- else -}}
{{- required "redis.url: name your Redis, since redis.mode is external" .Values.redis.url -}}
{{- end -}}
{{- end -}}

{{/* Says something when Redis is reached under TLS; refuses files for it when it is not. */}}
{{- define "pj.redisTls" -}}
{{- $tls := .Values.redis.tls -}}
{{- if hasPrefix "rediss" (include "pj.redisUrl" .) -}}yes
{{- else if or $tls.ca.existingSecret $tls.ca.existingConfigMap $tls.client.existingSecret -}}
{{- fail "redis.tls: only for redis.mode external with a redis.url of rediss:// or rediss-sentinel://" -}}
{{- end -}}
{{- if and $tls.ca.existingSecret $tls.ca.existingConfigMap -}}
{{- fail "redis.tls.ca: give existingSecret or existingConfigMap, not both" -}}
{{- end -}}
{{- end -}}

{{/* Refuses what is meant for sentinels when there are none: the programs would not start with it. */}}
{{- define "pj.redisSentinels" -}}
{{- $given := or (include "pj.secretGiven" (dict "root" . "name" "PJ_REDIS_SENTINEL_PASSWORD")) .Values.settings.PJ_REDIS_SENTINEL_USER -}}
{{- if and $given (not (contains "-sentinel://" (include "pj.redisUrl" .))) -}}
{{- fail "PJ_REDIS_SENTINEL_PASSWORD, PJ_REDIS_SENTINEL_USER: only with a redis.url of redis-sentinel:// or rediss-sentinel://" -}}
{{- end -}}
{{- end -}}

{{/* The environment of one program. Call with (dict "root" $ "program" "api" "own" (list map …)); later maps win. */}}
{{- define "pj.env" -}}
{{- $root := .root -}}
{{- $all := dict "PJ_REDIS_URL" (include "pj.redisUrl" $root) "PJ_PUBLIC_URL" (include "pj.publicUrl" $root) -}}
{{- $all = mergeOverwrite $all (deepCopy $root.Values.settings) -}}
{{- range .own -}}
{{- $all = mergeOverwrite $all (deepCopy .) -}}
{{- end -}}
{{- if or $root.Values.forges $root.Values.forgesExistingSecret -}}
{{- $_ := set $all "PJ_FORGES" "/etc/pithyjaunt/files/forges.json" -}}
{{- end -}}
{{- if $root.Values.caBundle.existingConfigMap -}}
{{- $_ := set $all "PJ_CA_FILE" "/etc/pithyjaunt/files/ca.crt" -}}
{{- end -}}
{{- include "pj.redisSentinels" $root -}}
{{- if include "pj.redisTls" $root -}}
{{- with $root.Values.redis.tls -}}
{{- if or .ca.existingSecret .ca.existingConfigMap -}}
{{- $_ := set $all "PJ_REDIS_CA_FILE" "/etc/pithyjaunt/files/redis-ca.crt" -}}
{{- end -}}
{{- if .client.existingSecret -}}
{{- $_ := set $all "PJ_REDIS_CERT_FILE" "/etc/pithyjaunt/files/redis-client.crt" -}}
{{- $_ := set $all "PJ_REDIS_KEY_FILE" "/etc/pithyjaunt/files/redis-client.key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $root.Values.prices -}}
{{- $_ := set $all "PJ_PRICES" "/etc/pithyjaunt/files/prices.json" -}}
{{- end -}}
{{- if eq .program "runner" -}}
{{- if $root.Values.replay.existingConfigMap -}}{{- $_ := set $all "PJ_REPLAY_FILE" "/etc/pithyjaunt/files/replay.json" -}}{{- end -}}
{{- end -}}
{{- range $name := get (fromYaml (include "pj.secretNames" $root)) .program -}}
{{- if include "pj.secretRef" (dict "root" $root "name" $name) -}}
{{- $_ := set $all (printf "%s_FILE" $name) (printf "/etc/pithyjaunt/secrets/%s" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $all -}}
{{- print "\n" -}}
- name: {{ $name }}
  value: {{ include "pj.scalar" $value | quote }}
{{- end -}}
{{- end -}}

{{/* The volumes behind those files. */}}
{{- define "pj.settingsVolumes" -}}
{{- $root := .root -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name := get (fromYaml (include "pj.secretNames" $root)) .program }}
      {{- $ref := fromYaml (include "pj.secretRef" (dict "root" $root "name" $name)) }}
      {{- if $ref.secret }}
      - secret:
          name: {{ $ref.secret }}
          items:
            - {key: {{ $ref.key }}, path: {{ $name }}}
      {{- end }}
      {{- end }}
{{- if include "pj.hasFiles" . }}
- name: files
  projected:
    defaultMode: 0440
    sources:
      {{- if or $root.Values.forges $root.Values.forgesExistingSecret }}
      - secret:
          name: {{ $root.Values.forgesExistingSecret | default (include "pj.fullname" $root) }}
          items:
            - {key: forges.json, path: forges.json}
      {{- end }}
      {{- with $root.Values.caBundle }}
      {{- if .existingConfigMap }}
      - configMap:
          name: {{ .existingConfigMap }}
          items:
            - {key: {{ .key }}, path: ca.crt}
      {{- end }}
      {{- end }}
      {{- with $root.Values.redis.tls }}
      {{- if .ca.existingSecret }}
      - secret:
          name: {{ .ca.existingSecret }}
          items:
            - {key: {{ .ca.key }}, path: redis-ca.crt}
      {{- else if .ca.existingConfigMap }}
      - configMap:
          name: {{ .ca.existingConfigMap }}
          items:
            - {key: {{ .ca.key }}, path: redis-ca.crt}
      {{- end }}
      {{- if .client.existingSecret }}
      - secret:
          name: {{ .client.existingSecret }}
          items:
            - {key: {{ .client.certKey }}, path: redis-client.crt}
            - {key: {{ .client.keyKey }}, path: redis-client.key}
      {{- end }}
      {{- end }}
      {{- if $root.Values.prices }}
      - configMap:
          name: {{ include "pj.fullname" $root }}
          items:
            - {key: prices.json, path: prices.json}
      {{- end }}
      {{- if eq .program "runner" }}
      {{- with $root.Values.replay }}
      {{- if .existingConfigMap }}
      - configMap:
          name: {{ .existingConfigMap }}
          items:
            - {key: {{ .key }}, path: replay.json}
      {{- end }}
      {{- end }}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "pj.settingsMounts" -}}
- {name: secrets, mountPath: /etc/pithyjaunt/secrets, readOnly: true}
{{- if include "pj.hasFiles" . }}
- {name: files, mountPath: /etc/pithyjaunt/files, readOnly: true}
{{- end }}
{{- end -}}

{{/* Says something when a setting of this program is the path of a file that the chart mounts. */}}
{{- define "pj.hasFiles" -}}
{{- $v := .root.Values -}}
{{- if or $v.forges $v.forgesExistingSecret $v.caBundle.existingConfigMap $v.prices -}}yes{{- end -}}
{{- with $v.redis.tls -}}{{- if or .ca.existingSecret .ca.existingConfigMap .client.existingSecret -}}yes{{- end -}}{{- end -}}
{{- if and (eq .program "runner") $v.replay.existingConfigMap -}}yes{{- end -}}
{{- end -}}

{{/* Pods start anew when what they read at start has changed. */}}
{{- define "pj.checksums" -}}
checksum/config: {{ printf "%s%s" (include (print .Template.BasePath "/configmap.yaml") .) (include (print .Template.BasePath "/secret.yaml") .) | sha256sum }}
{{- end -}}
