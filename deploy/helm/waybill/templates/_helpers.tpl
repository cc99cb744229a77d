{{- define "waybill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "waybill.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "waybill.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "waybill.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "waybill.selectorLabels" -}}
app.kubernetes.io/name: {{ include "waybill.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "waybill.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "waybill.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "waybill.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "waybill.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "waybill.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The settings file: what the chart knows of, overlaid by `config`. */ -}}
{{- define "waybill.config" -}}
{{- $config := dict "http" (dict "listen" (printf "0.0.0.0:%v" .Values.http.port)) }}
{{- if .Values.http.tokensSecret }}
{{- $_ := set $config.http "tokens_file" "/etc/waybill/tokens/tokens" }}
{{- end }}
{{- if .Values.forward.enabled }}
{{- $_ := set $config "forward" (dict "listen" (printf "0.0.0.0:%v" .Values.forward.port)) }}
{{- end }}
{{- $folders := list }}
{{- if .Values.rules.inline }}{{ $folders = append $folders "/etc/waybill/rules/inline" }}{{ end }}
{{- range .Values.rules.existingConfigMaps }}{{ $folders = append $folders (printf "/etc/waybill/rules/%s" .) }}{{ end }}
{{- $rules := dict }}
{{- if .Values.rules.useDefaults }}
{{- $_ := set $rules "path" "rules" }}
{{- $_ := set $rules "extra_paths" $folders }}
{{- else if $folders }}
{{- $_ := set $rules "path" (first $folders) }}
{{- $_ := set $rules "extra_paths" (rest $folders) }}
{{- else }}
{{- fail "rules: with useDefaults false, give inline rules or existingConfigMaps" }}
{{- end }}
{{- $_ := set $config "rules" $rules }}
{{- $model := dict }}
{{- if eq .Values.model.source "none" }}
{{- $_ := set $model "path" nil }}
{{- else if eq .Values.model.source "pvc" }}
{{- $_ := set $model "path" (printf "/models/%s" .Values.model.pvc.path | trimSuffix "/") }}
{{- else if eq .Values.model.source "oci" }}
{{- $_ := set $model "path" (printf "/models/%s" .Values.model.oci.path | trimSuffix "/") }}
{{- else if eq .Values.model.source "download" }}
{{- $_ := set $model "path" "/models/bundle" }}
{{- else if eq .Values.model.source "hub" }}
{{- $follow := dict "source" (required "model.hub.repo is required with model.source hub" .Values.model.hub.repo) "into" "/models" "interval_secs" .Values.model.hub.intervalSecs }}
{{- if .Values.model.hub.endpoint }}{{ $_ := set $follow "endpoint" .Values.model.hub.endpoint }}{{ end }}
{{- $_ := set $model "follow" $follow }}
{{- end }}
{{- if $model }}{{ $_ := set $config "model" $model }}{{ end }}
{{- if .Values.llm.redis }}
{{- $_ := set $config "llm" (dict "store" .Values.llm.redis) }}
{{- else if .Values.llm.existingSecret }}
{{- $_ := set $config "llm" (dict "store" "/var/lib/waybill/llm.sqlite") }}
{{- end }}
{{- toYaml (mergeOverwrite $config (deepCopy .Values.config)) }}
{{- end }}

{{- /* The container, for our own pods and for umbrella charts that put it into an agent's. */ -}}
{{- define "waybill.container" -}}
name: waybill
image: {{ include "waybill.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/waybill/config/waybill.yaml]
ports:
  - {name: http, containerPort: {{ .Values.http.port }}, protocol: TCP}
  {{- if .Values.forward.enabled }}
  - {name: forward, containerPort: {{ .Values.forward.port }}, protocol: TCP}
  {{- end }}
env:
  - name: HOME
    value: /tmp
  {{- if .Values.llm.existingSecret }}
  - name: {{ .Values.llm.envName }}
    valueFrom: {secretKeyRef: {name: {{ .Values.llm.existingSecret }}, key: {{ .Values.llm.secretKey }}}}
  {{- end }}
  {{- if and (eq .Values.model.source "hub") .Values.model.hub.existingSecret }}
  - name: HF_TOKEN
    valueFrom: {secretKeyRef: {name: {{ .Values.model.hub.existingSecret }}, key: HF_TOKEN}}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  httpGet: {path: /healthz, port: http}
  {{- toYaml .Values.startupProbe | nindent 2 }}
livenessProbe:
  httpGet: {path: /healthz, port: http}
  {{- toYaml .Values.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: http}
  {{- toYaml .Values.readinessProbe | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  {{- include "waybill.volumeMounts" . | nindent 2 }}
{{- end }}

{{- define "waybill.volumeMounts" -}}
- {name: config, mountPath: /etc/waybill/config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.rules.inline }}
- {name: rules-inline, mountPath: /etc/waybill/rules/inline, readOnly: true}
{{- end }}
{{- range $i, $name := .Values.rules.existingConfigMaps }}
- {name: rules-{{ $i }}, mountPath: /etc/waybill/rules/{{ $name }}, readOnly: true}
{{- end }}
{{- if .Values.http.tokensSecret }}
- {name: tokens, mountPath: /etc/waybill/tokens, readOnly: true}
{{- end }}
{{- if has .Values.model.source (list "pvc" "oci" "download") }}
- {name: model, mountPath: /models, readOnly: true}
{{- else if eq .Values.model.source "hub" }}
- {name: model, mountPath: /models}
{{- end }}
{{- if and .Values.llm.existingSecret (not .Values.llm.redis) }}
- {name: llm, mountPath: /var/lib/waybill}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "waybill.volumes" -}}
- name: config
  configMap: {name: {{ include "waybill.fullname" . }}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if .Values.rules.inline }}
- name: rules-inline
  configMap: {name: {{ include "waybill.fullname" . }}-rules}
{{- end }}
{{- range $i, $name := .Values.rules.existingConfigMaps }}
- name: rules-{{ $i }}
  configMap: {name: {{ $name }}}
{{- end }}
{{- if .Values.http.tokensSecret }}
- name: tokens
  secret: {secretName: {{ .Values.http.tokensSecret }}}
{{- end }}
{{- if eq .Values.model.source "pvc" }}
- name: model
  persistentVolumeClaim: {claimName: {{ required "model.pvc.existingClaim is required with model.source pvc" .Values.model.pvc.existingClaim }}, readOnly: true}
{{- else if eq .Values.model.source "oci" }}
- name: model
  image: {reference: {{ required "model.oci.reference is required with model.source oci" .Values.model.oci.reference }}, pullPolicy: IfNotPresent}
{{- else if has .Values.model.source (list "download" "hub") }}
- name: model
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- if and .Values.llm.existingSecret (not .Values.llm.redis) }}
- name: llm
  {{- toYaml .Values.llm.volume | nindent 2 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "waybill.fetch" -}}
name: fetch-model
image: {{ include "waybill.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [python, /etc/waybill/config/fetch.py]
env:
  - {name: URL, value: {{ required "model.download.url is required with model.source download" .Values.model.download.url | quote }}}
  - {name: SHA256, value: {{ required "model.download.sha256 is required with model.source download" .Values.model.download.sha256 | quote }}}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - {name: config, mountPath: /etc/waybill/config, readOnly: true}
  - {name: model, mountPath: /models}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "waybill.pod" -}}
metadata:
  labels:
    {{- include "waybill.selectorLabels" . | nindent 4 }}
    vector.dev/exclude: "true"
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Settings are read at the start; rules and model are followed, so they are not part of this.
    checksum/config: {{ include "waybill.config" . | sha256sum }}
    fluentbit.io/exclude: "true"
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "waybill.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if or .Values.initContainers (eq .Values.model.source "download") }}
  initContainers:
    {{- if eq .Values.model.source "download" }}
    - {{- include "waybill.fetch" . | nindent 6 }}
    {{- end }}
    {{- with .Values.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - {{- include "waybill.container" . | nindent 6 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "waybill.volumes" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
