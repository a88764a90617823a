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

{{/* Takes (list . LIFETIME): how many days are left of it when the certs program renews. */}}
{{- define "vci-webhook.daysLeft" -}}
{{- $of := dict "s" 86400 "m" 1440 "h" 24 "d" 1 -}}
{{- $lifetime := divf (regexFind "^[0-9.]+" (index . 1) | float64) (get $of (regexFind "[smhd]$" (index . 1))) -}}
{{- mulf $lifetime (subf 1 (index . 0).Values.certificates.self.renewAt) -}}
{{- end -}}
