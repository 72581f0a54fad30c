{{- /*
The configuration, held against what the chart makes around it, so that a pod never starts with one
that cannot work there. What Detour itself refuses is for `detour validate`.
*/ -}}
{{- define "detour.checked" -}}
{{- $name := include "detour.name" . -}}
{{- if not .Values.config }}{{ fail "config: it has to be given, the whole detour.yaml as text: --set-file config=detour.yaml" }}{{ end -}}
{{- $config := fromYaml .Values.config -}}
{{- with $config.Error }}{{ fail (printf "config: it is no YAML: %s" .) }}{{ end -}}
{{- $cure := "see deploy/kubernetes/overlays, and try it with `detour validate`" -}}
{{- if not $config.cluster }}{{ fail (printf "config: it has no `cluster`, so it is no detour.yaml: %s" $cure) }}{{ end -}}
{{- if ne (toString $config.stateDir) "/var/lib/detour" }}{{ fail (printf "config: stateDir has to be /var/lib/detour, where the volume is, not %v" $config.stateDir) }}{{ end -}}
{{- if ne (toString $config.socket) "/run/detour/control.sock" }}{{ fail (printf "config: socket has to be /run/detour/control.sock, where the pod asks whether it lives, not %v" $config.socket) }}{{ end -}}
{{- if not (has (toString $config.listen) (list "0.0.0.0:9353" "[::]:9353")) }}{{ fail (printf "config: listen has to be 0.0.0.0:9353 or \"[::]:9353\", where the cluster asks whether it is ready, not %v" $config.listen) }}{{ end -}}
{{- $group := $config.group | default dict -}}
{{- $replicas := $config.replicas | default dict -}}
{{- if eq .Values.mode "single" -}}
{{- if or $group $replicas }}{{ fail "config: it has `group` or `replicas`, and mode is single: set mode to lease or etcd" }}{{ end -}}
{{- else if eq .Values.mode "lease" -}}
{{- $kubernetes := $group.kubernetes | default dict -}}
{{- if not (hasKey $group "kubernetes") }}{{ fail "config: mode is lease, and it has no `group: { kubernetes: ... }`" }}{{ end -}}
{{- if ne ($kubernetes.lease | default "detour") $name }}{{ fail (printf "config: group.kubernetes.lease has to be %s, the Lease of this release" $name) }}{{ end -}}
{{- if ne (dig "documents" "secret" "" $kubernetes) (printf "%s-documents" $name) }}{{ fail (printf "config: group.kubernetes.documents has to be { secret: %s-documents }, the Secret of this release" $name) }}{{ end -}}
{{- with $kubernetes.namespace }}{{ if ne . $.Release.Namespace }}{{ fail (printf "config: group.kubernetes.namespace has to be %s or left out" $.Release.Namespace) }}{{ end }}{{ end -}}
{{- range $i := until (int .Values.lease.replicas) -}}
{{- $pod := printf "%s-%d" $name $i -}}
{{- if not (hasKey $replicas $pod) }}{{ fail (printf "config: replicas.%s is missing: replicas are called as the pods, %s-0 and on" $pod $name) }}{{ end -}}
{{- $host := printf "%s.%s-group.%s.svc." $pod $name $.Release.Namespace -}}
{{- $address := get $replicas $pod | dig "address" "" -}}
{{- if not (and (hasPrefix $host $address) (hasSuffix ":7947" $address)) }}{{ fail (printf "config: replicas.%s.address has to be the whole name of the pod, %scluster.local:7947, not %q" $pod $host $address) }}{{ end -}}
{{- end -}}
{{- else -}}
{{- if not .Values.etcd.replica }}{{ fail "etcd.replica: it has to be given with mode etcd: which of the `replicas` in detour.yaml this release is" }}{{ end -}}
{{- if not (hasKey $group "etcd") }}{{ fail "config: mode is etcd, and it has no `group: { etcd: ... }`" }}{{ end -}}
{{- if not (hasKey $replicas .Values.etcd.replica) }}{{ fail (printf "config: etcd.replica is %s, and `replicas` has only %s" .Values.etcd.replica (keys $replicas | sortAlpha | join ", ")) }}{{ end -}}
{{- if not (hasSuffix ":7947" (get $replicas .Values.etcd.replica | dig "address" "")) }}{{ fail (printf "config: replicas.%s.address has to have port 7947" .Values.etcd.replica) }}{{ end -}}
{{- end -}}
{{- end -}}
