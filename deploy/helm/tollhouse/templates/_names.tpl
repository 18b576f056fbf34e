{{- define "tollhouse.name" -}}
{{ printf "%s" .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- define "tollhouse.selector" -}}
app.kubernetes.io/name: tollhouse
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "tollhouse.labels" -}}
{{ include "tollhouse.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
