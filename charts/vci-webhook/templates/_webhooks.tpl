{{/* What the entries of the webhook configurations have in common. */}}

{{- define "vci-webhook.injection" -}}
{{- if eq .Values.certificates.mode "certManager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "vci-webhook.fullname" . }}
{{- end -}}
{{- end -}}

{{/* Takes (list . BUNDLE PATH). Without a bundle the field is not there at all: whoever writes it owns it. */}}
{{- define "vci-webhook.clientConfig" -}}
{{- $ := index . 0 -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: {{ include "vci-webhook.fullname" $ }}
    namespace: {{ $.Release.Namespace | quote }}
    path: {{ index . 2 }}
    port: 443
  {{- with index . 1 }}
  caBundle: {{ . }}
  {{- end }}
{{- end -}}

{{- define "vci-webhook.neverAsked" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: {{ include "vci-webhook.excludedNamespaces" . }}}
- {key: vci-webhook/inject, operator: NotIn, values: ["false"]}
{{- end -}}

{{/* Takes (list . BUNDLE). The conditions say what the server would say too; they only save the call. */}}
{{- define "vci-webhook.podsEntry" -}}
{{- $ := index . 0 -}}
{{- include "vci-webhook.clientConfig" (list $ (index . 1) "/mutate") }}
rules:
  - operations: [CREATE]
    apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    scope: Namespaced
objectSelector:
  matchExpressions:
    - {key: vci-webhook/inject, operator: NotIn, values: ["false"]}
{{- if include "vci-webhook.hasMatchConditions" $ }}
matchConditions:
  - name: has-no-node
    expression: '!has(object.spec.nodeName) || object.spec.nodeName == ""'
  - name: is-no-mirror
    expression: '!has(object.metadata.annotations) || !("kubernetes.io/config.mirror" in object.metadata.annotations)'
  - name: is-not-of-a-daemonset
    expression: '!has(object.metadata.ownerReferences) || !object.metadata.ownerReferences.exists(owner, owner.kind == "DaemonSet")'
  {{- with $.Values.webhook.matchConditions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
sideEffects: None
timeoutSeconds: {{ $.Values.webhook.timeoutSeconds }}
reinvocationPolicy: Never
matchPolicy: Equivalent
{{- end -}}
