{{- /* Amounts of CPU and memory. Kubernetes takes `memory: 512` for 512 bytes and `cpu: 200` for 200
cores, and refuses others only when a pod is made, in words for those who know its source. */}}
{{- define "waybill.checkQuantities" -}}
{{- $places := dict }}
{{- range $key := list "resources" "deadLetter" "patterns" "llm" "canary" "retrain" "workbench" "extraVolumes" "extraContainers" "initContainers" }}
{{- $_ := set $places $key (index $.Values $key) }}
{{- end }}
{{- include "waybill.quantities" (dict "path" "" "value" $places) }}
{{- include "waybill.bytes" (dict "path" "workbench.persistence.size" "value" .Values.workbench.persistence.size) }}
{{- end }}

{{- /* Every amount below `value`, whose place in the values is `path`. */}}
{{- define "waybill.quantities" -}}
{{- $path := .path }}
{{- if kindIs "slice" .value }}
{{- range $i, $value := .value }}
{{- include "waybill.quantities" (dict "path" (printf "%s[%d]" $path $i) "value" $value) }}
{{- end }}
{{- else if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- $here := ternary $key (printf "%s.%s" $path $key) (eq $path "") }}
{{- if and (eq $key "resources") (kindIs "map" $value) }}
{{- range $name := keys $value }}
{{- if not (has $name (list "requests" "limits" "claims")) }}
{{- fail (printf "%s.%s: expected requests or limits" $here $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) }}
{{- include "waybill.quantities" (dict "path" $here "value" $value) }}
{{- else if eq $key "cpu" }}
{{- include "waybill.cores" (dict "path" $here "value" $value) }}
{{- else if or (has $key (list "memory" "ephemeral-storage" "storage" "sizeLimit")) (hasPrefix "hugepages-" $key) }}
{{- include "waybill.bytes" (dict "path" $here "value" $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "waybill.cores" -}}
{{- $text := toString .value }}
{{- if kindIs "invalid" .value }}
{{- else if not (regexMatch "^[0-9]+(m|\\.[0-9]{1,3})?$" $text) }}
{{- fail (printf "%s: %q is no amount of CPU; write cores, such as 0.5, or thousandths of one, such as 500m" .path $text) }}
{{- else if and (not (hasSuffix "m" $text)) (gt (float64 $text) 32.0) }}
{{- fail (printf "%s: %s is that many whole cores; for thousandths of one write %sm" .path $text $text) }}
{{- end }}
{{- end }}

{{- define "waybill.bytes" -}}
{{- $text := toString .value }}
{{- $number := regexFind "[0-9]+(\\.[0-9]+)?" $text | default "512" }}
{{- $meant := printf "%s%s" $number (ternary "Gi" "Mi" (regexMatch "(?i)g" $text)) }}
{{- if or (kindIs "invalid" .value) (regexMatch "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)$" $text) }}
{{- else if not (regexMatch "^[0-9]+(\\.[0-9]+)?(e\\+?[0-9]+)?$" $text) }}
{{- fail (printf "%s: %q is no amount of memory; write a number with its unit and no blank, such as %s" .path $text $meant) }}
{{- else if and (gt (float64 $text) 0.0) (lt (float64 $text) 1048576.0) }}
{{- fail (printf "%s: %s is that many bytes; write the unit, too, such as %s" .path $text $meant) }}
{{- end }}
{{- end }}
