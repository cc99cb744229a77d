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

{{- define "waybill.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
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
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of pods beside the sidecars: without the selector's name, by which the Service would send records there. */ -}}
{{- define "waybill.otherPodLabels" -}}
app.kubernetes.io/name: {{ include "waybill.name" .root }}-{{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Name, namespace and labels of whatever belongs to the release. */ -}}
{{- define "waybill.metadata" -}}
name: {{ include "waybill.fullname" . }}
namespace: {{ include "waybill.namespace" . }}
labels:
  {{- include "waybill.labels" . | nindent 2 }}
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
{{- /* No address before the port: IPv4 and IPv6 alike. */ -}}
{{- $config := dict "http" (dict "listen" (printf ":%v" .Values.http.port)) }}
{{- if .Values.http.tokensSecret }}
{{- $_ := set $config.http "tokens_file" "/etc/waybill/tokens/tokens" }}
{{- else }}
{{- $_ := set $config.http "allow_anonymous" true }}
{{- end }}
{{- $tls := dict "cert_file" "/etc/waybill/tls/tls.crt" "key_file" "/etc/waybill/tls/tls.key" }}
{{- if .Values.http.tlsSecret }}
{{- $_ := set $config.http "tls" $tls }}
{{- end }}
{{- if .Values.forward.enabled }}
{{- $_ := set $config "forward" (dict "listen" (printf ":%v" .Values.forward.port) "allow_anonymous" true) }}
{{- if .Values.http.tlsSecret }}
{{- $_ := set $config.forward "tls" $tls }}
{{- end }}
{{- end }}
{{- if .Values.deadLetter.enabled }}
{{- $_ := set $config "dead_letter" (dict "path" "/var/lib/waybill/dead-letter") }}
{{- end }}
{{- $_ := set $config "patterns" (dict "path" "/var/lib/waybill/patterns/known") }}
{{- if .Values.labels.inline }}
{{- $_ := set $config "labels" (dict "path" "/etc/waybill/config/labels.yaml") }}
{{- end }}
{{- if and .Values.corrections.inline .Values.corrections.existingConfigMap }}
{{- fail "corrections: give inline or existingConfigMap, not both" }}
{{- end }}
{{- if or .Values.corrections.inline .Values.corrections.existingConfigMap }}
{{- $_ := set $config "corrections" (dict "path" "/etc/waybill/corrections") }}
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
{{- $_ := set $rules "path" nil }}
{{- $_ := set $rules "extra_paths" list }}
{{- end }}
{{- if .Values.workbench.enabled }}
{{- $url := printf "%s://%s-workbench.%s:9890%s" (ternary "https" "http" (ne .Values.workbench.tlsSecret "")) (include "waybill.fullname" .) (include "waybill.namespace" .) .Values.workbench.basePath }}
{{- if eq .Values.workbench.apply "follow" }}
{{- $_ := set $rules "follow" (dict "source" $url "token_file" "/etc/waybill/follow/follow" "into" "/var/lib/waybill/followed/rules") }}
{{- $corrections := default dict $config.corrections }}
{{- $corrections = mergeOverwrite (deepCopy $corrections) (dict "follow" $url "follow_token_file" "/etc/waybill/follow/follow" "follow_cache" "/var/lib/waybill/followed/corrections.ndjson") }}
{{- $_ := set $config "corrections" $corrections }}
{{- else if eq .Values.workbench.apply "configmap" }}
{{- if $config.corrections }}
{{- fail "workbench.apply configmap brings corrections itself: leave corrections.inline and corrections.existingConfigMap empty" }}
{{- end }}
{{- $_ := set $rules "extra_paths" (append $rules.extra_paths "/etc/waybill/own") }}
{{- $_ := set $config "corrections" (dict "path" "/etc/waybill/own/corrections.ndjson") }}
{{- end }}
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
{{- $_ := set $config "llm" (dict "store" "/var/lib/waybill/llm/verdicts.sqlite") }}
{{- end }}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) }}
{{- if ne (toString .Values.http.port) (splitList ":" $config.http.listen | last) }}
{{- fail "config.http.listen: its port must be http.port, where probes and Service look for Waybill" }}
{{- end }}
{{- if and (ne .Values.mode "sidecar") (dig "http" "tls" "client_ca_file" "" $config) }}
{{- fail "config.http.tls.client_ca_file: the probes of Kubernetes have no client certificate and would end the pods; use http.tokensSecret" }}
{{- end }}
{{- if le (int .Values.terminationGracePeriodSeconds) (int (default 20 $config.http.drain_secs)) }}
{{- fail "terminationGracePeriodSeconds must be longer than config.http.drain_secs" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* What an HTTP probe asks. */ -}}
{{- define "waybill.probe" -}}
httpGet: {path: {{ .path }}, port: {{ .port }}, scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.http.tlsSecret "") }}}
{{- end }}

{{- /* The container of our own pods. */ -}}
{{- define "waybill.container" -}}
{{- include "waybill.process" (dict "root" . "port" "http") }}
readinessProbe:
  {{- include "waybill.probe" (dict "root" . "path" "/readyz" "port" "http") | nindent 2 }}
  {{- toYaml .Values.readinessProbe | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{- /*
The container for an agent's pod, as an entry of its initContainers (a native sidecar: started before the agent,
stopped after it). Without a readiness probe, for that would be the whole pod's; and with all of its security
settings, for the pod's are the agent's. An umbrella chart includes it with `.Subcharts.waybill`, together with
waybill.volumes; examples/ has it written out for the charts of Fluent Bit and Vector.
*/ -}}
{{- define "waybill.sidecar" -}}
{{- include "waybill.process" (dict "root" . "port" "waybill") }}
restartPolicy: Always
securityContext:
  {{- toYaml (merge (deepCopy .Values.securityContext) (omit .Values.podSecurityContext "fsGroup")) | nindent 2 }}
{{- end }}

{{- define "waybill.process" -}}
{{- $port := .port }}
{{- with .root -}}
name: waybill
image: {{ include "waybill.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - serve
  - --config
  - /etc/waybill/config/waybill.yaml
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: {{ $port }}, containerPort: {{ .Values.http.port }}, protocol: TCP}
  {{- if .Values.forward.enabled }}
  - {name: forward, containerPort: {{ .Values.forward.port }}, protocol: TCP}
  {{- end }}
env:
  - {name: HOME, value: /tmp}
  # For commands that people run in the container: kubectl exec ... -- waybill explain ...
  - {name: WAYBILL_CONFIG, value: /etc/waybill/config/waybill.yaml}
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
  {{- include "waybill.probe" (dict "root" . "path" "/healthz" "port" $port) | nindent 2 }}
  {{- toYaml .Values.startupProbe | nindent 2 }}
livenessProbe:
  {{- include "waybill.probe" (dict "root" . "path" "/healthz" "port" $port) | nindent 2 }}
  {{- toYaml .Values.livenessProbe | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  {{- include "waybill.volumeMounts" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "waybill.volumeMounts" -}}
- {name: waybill-config, mountPath: /etc/waybill/config, readOnly: true}
- {name: waybill-tmp, mountPath: /tmp}
{{- if .Values.rules.inline }}
- {name: waybill-rules, mountPath: /etc/waybill/rules/inline, readOnly: true}
{{- end }}
{{- range $i, $name := .Values.rules.existingConfigMaps }}
- {name: waybill-rules-{{ $i }}, mountPath: /etc/waybill/rules/{{ $name }}, readOnly: true}
{{- end }}
{{- if or .Values.corrections.inline .Values.corrections.existingConfigMap }}
- {name: waybill-corrections, mountPath: /etc/waybill/corrections, readOnly: true}
{{- end }}
{{- if .Values.http.tokensSecret }}
- {name: waybill-tokens, mountPath: /etc/waybill/tokens, readOnly: true}
{{- end }}
{{- if .Values.http.tlsSecret }}
- {name: waybill-tls, mountPath: /etc/waybill/tls, readOnly: true}
{{- end }}
{{- if has .Values.model.source (list "pvc" "oci" "download") }}
- {name: waybill-model, mountPath: /models, readOnly: true}
{{- else if eq .Values.model.source "hub" }}
- {name: waybill-model, mountPath: /models}
{{- end }}
{{- if and .Values.llm.existingSecret (not .Values.llm.redis) }}
- {name: waybill-llm, mountPath: /var/lib/waybill/llm}
{{- end }}
{{- if .Values.deadLetter.enabled }}
- {name: waybill-dead-letter, mountPath: /var/lib/waybill/dead-letter}
{{- end }}
{{- if .Values.workbench.enabled }}
{{- if eq .Values.workbench.apply "follow" }}
- {name: waybill-follow, mountPath: /etc/waybill/follow, readOnly: true}
- {name: waybill-followed, mountPath: /var/lib/waybill/followed}
{{- else if eq .Values.workbench.apply "configmap" }}
- {name: waybill-own, mountPath: /etc/waybill/own, readOnly: true}
{{- end }}
{{- end }}
- {name: waybill-patterns, mountPath: /var/lib/waybill/patterns}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "waybill.volumes" -}}
- name: waybill-config
  configMap: {name: {{ include "waybill.fullname" . }}}
- name: waybill-tmp
  emptyDir: {sizeLimit: 256Mi}
- name: waybill-patterns
  {{- toYaml .Values.patterns.volume | nindent 2 }}
{{- if .Values.rules.inline }}
- name: waybill-rules
  configMap: {name: {{ include "waybill.fullname" . }}-rules}
{{- end }}
{{- range $i, $name := .Values.rules.existingConfigMaps }}
- name: waybill-rules-{{ $i }}
  configMap: {name: {{ $name }}}
{{- end }}
{{- if .Values.corrections.inline }}
- name: waybill-corrections
  configMap: {name: {{ include "waybill.fullname" . }}-corrections}
{{- else if .Values.corrections.existingConfigMap }}
- name: waybill-corrections
  configMap: {name: {{ .Values.corrections.existingConfigMap }}}
{{- end }}
{{- if .Values.http.tokensSecret }}
- name: waybill-tokens
  secret: {secretName: {{ .Values.http.tokensSecret }}}
{{- end }}
{{- if .Values.http.tlsSecret }}
- name: waybill-tls
  secret: {secretName: {{ .Values.http.tlsSecret }}}
{{- end }}
{{- if eq .Values.model.source "pvc" }}
- name: waybill-model
  persistentVolumeClaim: {claimName: {{ required "model.pvc.existingClaim is required with model.source pvc" .Values.model.pvc.existingClaim }}, readOnly: true}
{{- else if eq .Values.model.source "oci" }}
- name: waybill-model
  image: {reference: {{ required "model.oci.reference is required with model.source oci" .Values.model.oci.reference }}, pullPolicy: IfNotPresent}
{{- else if has .Values.model.source (list "download" "hub") }}
- name: waybill-model
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- if and .Values.llm.existingSecret (not .Values.llm.redis) }}
- name: waybill-llm
  {{- toYaml .Values.llm.volume | nindent 2 }}
{{- end }}
{{- if .Values.deadLetter.enabled }}
- name: waybill-dead-letter
  {{- toYaml .Values.deadLetter.volume | nindent 2 }}
{{- end }}
{{- if .Values.workbench.enabled }}
{{- if eq .Values.workbench.apply "follow" }}
- name: waybill-follow
  secret: {secretName: {{ required "workbench.tokensSecret is required with workbench.enabled" .Values.workbench.tokensSecret }}, items: [{key: follow, path: follow}]}
- name: waybill-followed
  {{- toYaml .Values.workbench.followVolume | nindent 2 }}
{{- else if eq .Values.workbench.apply "configmap" }}
- name: waybill-own
  configMap: {name: {{ include "waybill.fullname" . }}-own}
{{- end }}
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
  {{- if .Values.model.download.existingSecret }}
  - name: AUTHORIZATION
    valueFrom: {secretKeyRef: {name: {{ .Values.model.download.existingSecret }}, key: authorization}}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - {name: waybill-config, mountPath: /etc/waybill/config, readOnly: true}
  - {name: waybill-model, mountPath: /models}
  - {name: waybill-tmp, mountPath: /tmp}
{{- end }}

{{- /* Where pods may run: that of `helm test` needs a Waybill on its node. */ -}}
{{- define "waybill.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "waybill.pod" -}}
metadata:
  labels:
    {{- include "waybill.selectorLabels" . | nindent 4 }}
    vector.dev/exclude: "true"
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Settings are read at the start; rules and model are followed, so they are not part of this.
    checksum/config: {{ include "waybill.config" . | sha256sum }}
    {{- with .Values.labels.inline }}
    checksum/labels: {{ . | sha256sum }}
    {{- end }}
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
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
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
  {{- include "waybill.placement" . | nindent 2 }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}


{{- /* What PodMonitor and ServiceMonitor say alike of an endpoint. */ -}}
{{- define "waybill.endpoint" -}}
path: /metrics
interval: {{ .monitor.interval }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if .root.Values.http.tlsSecret }}
scheme: https
{{- end }}
{{- with .monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
