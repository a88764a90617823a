{{/* Metrics. The alerts and the dashboard find a release by namespace and job. */}}

{{/* Which programs have metrics, as JSON: component to name. */}}
{{- define "vci-webhook.monitored" -}}
{{- $all := dict "webhook" (include "vci-webhook.fullname" .) -}}
{{- if eq .Values.certificates.mode "self" -}}
{{- $_ := set $all "certs" (include "vci-webhook.certs" .) -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}

{{/* Takes (list . MONITOR NAME): MONITOR is the section of the values. The port's name would become the label "endpoint", which
our own metrics have, and theirs would be renamed. */}}
{{- define "vci-webhook.scrape" -}}
- port: management
  path: /metrics
  interval: {{ (index . 1).interval }}
  relabelings:
    - targetLabel: job
      replacement: {{ index . 2 }}
    - action: labeldrop
      regex: endpoint
{{- end -}}

{{- define "vci-webhook.ipBlocks" -}}
{{- range . }}
- ipBlock:
    cidr: {{ . | quote }}
{{- end }}
{{- end -}}
