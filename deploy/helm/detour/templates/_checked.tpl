{{- /*
The configuration, held against what the chart makes around it, so that a pod never starts with one
that cannot work there. What Detour itself refuses is for `detour validate`.
*/ -}}

{{- define "detour.refuse" -}}
{{- fail (printf "config: %s" .) -}}
{{- end -}}

{{- define "detour.checked" -}}
{{- if not .Values.config -}}
{{- include "detour.refuse" "it has to be given, the whole detour.yaml: --set-file config=detour.yaml" -}}
{{- end -}}
{{- $config := fromYaml .Values.config -}}
{{- with $config.Error -}}
{{- include "detour.refuse" (printf "it is no YAML: %s" .) -}}
{{- end -}}
{{- if not $config.cluster -}}
{{- include "detour.refuse" "it has no `cluster`, so it is no detour.yaml: see deploy/kubernetes/overlays" -}}
{{- end -}}

{{- /* The doors and places of the pod. */ -}}
{{- $has := "%s has to be %s, %s, not %v" -}}
{{- $at := "/var/lib/detour" -}}
{{- if ne (toString $config.stateDir) $at -}}
{{- include "detour.refuse" (printf $has "stateDir" $at "where the volume is" $config.stateDir) -}}
{{- end -}}
{{- $at = "/run/detour/control.sock" -}}
{{- if ne (toString $config.socket) $at -}}
{{- include "detour.refuse" (printf $has "socket" $at "where it is asked whether it lives" $config.socket) -}}
{{- end -}}
{{- if not (has (toString $config.listen) (list "0.0.0.0:9353" "[::]:9353")) -}}
{{- $at = "0.0.0.0:9353 or \"[::]:9353\"" -}}
{{- include "detour.refuse" (printf $has "listen" $at "where it is asked whether it is ready" $config.listen) -}}
{{- end -}}

{{- /* Who acts. */ -}}
{{- $all := dict "root" . "group" ($config.group | default dict) "replicas" ($config.replicas | default dict) -}}
{{- if and (eq .Values.mode "single") (or $config.group $config.replicas) -}}
{{- include "detour.refuse" "it has `group` or `replicas`, and mode is single: set mode to lease or etcd" -}}
{{- end -}}
{{- if eq .Values.mode "lease" }}{{ include "detour.checkedLease" $all }}{{ end -}}
{{- if eq .Values.mode "etcd" }}{{ include "detour.checkedEtcd" $all }}{{ end -}}
{{- end -}}

{{- define "detour.checkedLease" -}}
{{- $name := include "detour.name" .root -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $count := int .root.Values.lease.replicas -}}
{{- if not (hasKey .group "kubernetes") -}}
{{- include "detour.refuse" "mode is lease, and it has no `group: { kubernetes: ... }`" -}}
{{- end -}}
{{- $engine := .group.kubernetes | default dict -}}
{{- if ne ($engine.lease | default "detour") $name -}}
{{- include "detour.refuse" (printf "group.kubernetes.lease has to be %s, the Lease of this release" $name) -}}
{{- end -}}
{{- if ne (dig "documents" "secret" "" $engine) (printf "%s-documents" $name) -}}
{{- $wanted := printf "{ secret: %s-documents }, the Secret of this release" $name -}}
{{- include "detour.refuse" (printf "group.kubernetes.documents has to be %s" $wanted) -}}
{{- end -}}
{{- if ne ($engine.namespace | default $namespace) $namespace -}}
{{- include "detour.refuse" (printf "group.kubernetes.namespace has to be %s or left out" $namespace) -}}
{{- end -}}
{{- range $i := until $count -}}
{{- $pod := printf "%s-%d" $name $i -}}
{{- if not (hasKey $.replicas $pod) -}}
{{- include "detour.refuse" (printf "replicas.%s is missing: replicas are called as the pods" $pod) -}}
{{- end -}}
{{- $host := printf "%s.%s-group.%s.svc." $pod $name $namespace -}}
{{- $address := get $.replicas $pod | dig "address" "" -}}
{{- if not (and (hasPrefix $host $address) (hasSuffix ":7947" $address)) -}}
{{- $wanted := printf "the whole name of the pod, %scluster.local:7947" $host -}}
{{- include "detour.refuse" (printf "replicas.%s.address has to be %s, not %q" $pod $wanted $address) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "detour.checkedEtcd" -}}
{{- $own := .root.Values.etcd.replica -}}
{{- if not $own -}}
{{- fail "etcd.replica: it has to be given with mode etcd: which of the `replicas` this release is" -}}
{{- end -}}
{{- if not (hasKey .group "etcd") -}}
{{- include "detour.refuse" "mode is etcd, and it has no `group: { etcd: ... }`" -}}
{{- end -}}
{{- if not (hasKey .replicas $own) -}}
{{- $known := keys .replicas | sortAlpha | join ", " -}}
{{- include "detour.refuse" (printf "etcd.replica is %s, and `replicas` has only %s" $own $known) -}}
{{- end -}}
{{- if not (hasSuffix ":7947" (get .replicas $own | dig "address" "")) -}}
{{- include "detour.refuse" (printf "replicas.%s.address has to have port 7947" $own) -}}
{{- end -}}
{{- end -}}
