{{/* Names. At most 50 characters, so that each suffix that the chart adds has room in a name of 63. */}}
{{- define "vci-webhook.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "vci-webhook.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vci-webhook.certs" -}}
{{- include "vci-webhook.fullname" . }}-certs
{{- end -}}

{{- define "vci-webhook.serviceAccountName" -}}
{{- default (include "vci-webhook.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "vci-webhook.certsServiceAccountName" -}}
{{- default (include "vci-webhook.certs" .) .Values.serviceAccount.certsName -}}
{{- end -}}

{{- define "vci-webhook.tlsSecret" -}}
{{- $own := printf "%s-tls" (include "vci-webhook.fullname" .) -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{- default $own .Values.certificates.provided.secretName -}}
{{- else -}}
{{- $own -}}
{{- end -}}
{{- end -}}

{{- define "vci-webhook.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Labels. Each of these takes (list . "COMPONENT"). */}}
{{- define "vci-webhook.selectorLabels" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "vci-webhook.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "vci-webhook.labels" -}}
{{- $ := index . 0 -}}
{{ include "vci-webhook.selectorLabels" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Pods. */}}
{{- define "vci-webhook.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "vci-webhook.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "vci-webhook.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
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
{{- end -}}

{{/* Webhook configurations. */}}
{{- define "vci-webhook.excludedNamespaces" -}}
{{- $always := list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace -}}
{{- concat $always .Values.webhook.excludedNamespaces | uniq | toJson -}}
{{- end -}}

{{- define "vci-webhook.hasMatchConditions" -}}
{{- if semverCompare ">=1.28.0-0" .Capabilities.KubeVersion.Version -}}true{{- end -}}
{{- end -}}

{{/* Takes the weight. All that a test needs is there while it runs, and gone afterwards, however it ended. */}}
{{- define "vci-webhook.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- if eq (int .) 0 }}
helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
{{- end }}
{{- end -}}
