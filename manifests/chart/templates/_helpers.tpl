{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- define "farrier.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- /* Labels of everything: (list $ "component"). */ -}}
{{- define "farrier.labels" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: farrier
app.kubernetes.io/instance: {{ $top.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version }}
{{- end }}

{{- define "farrier.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: farrier
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* Annotations of what is there only for a hook: (list event weight). */ -}}
{{- define "farrier.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- /* image and imagePullPolicy: (list $ imageValues). */ -}}
{{- define "farrier.image" -}}
{{- $top := index . 0 -}}{{- $image := index . 1 -}}
{{- if $image.digest -}}
image: {{ printf "%s@%s" $image.repository $image.digest | quote }}
{{- else -}}
image: {{ printf "%s:%s" $image.repository (default $top.Chart.AppVersion $image.tag) | quote }}
{{- end }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end }}

{{- /* What every pod says about where it runs: (list $ componentValues). */ -}}
{{- define "farrier.placement" -}}
{{- $top := index . 0 -}}{{- $c := index . 1 -}}
priorityClassName: {{ $c.priorityClassName }}
{{- with $top.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $c.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $c.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $c.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Port and probes of a component that serves metrics: its values. */ -}}
{{- define "farrier.probes" -}}
{{- if .metricsPort -}}
ports:
- { name: metrics, containerPort: {{ .metricsPort }}, protocol: TCP }
livenessProbe:
  httpGet: { path: /healthz, port: metrics }
  initialDelaySeconds: 10
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
{{- end }}

{{- /* The modes of the device plugin that this release has, the default first, as a JSON list. */ -}}
{{- define "farrier.pluginModes" -}}
{{- $mode := .Values.devicePlugin.mode -}}
{{- $modes := list $mode -}}
{{- if .Values.devicePlugin.modeByLabel }}{{ $modes = list $mode (ternary "HostService" "DaemonSet" (eq $mode "DaemonSet")) }}{{ end -}}
{{- $modes | toJson -}}
{{- end }}

{{- /* What the name of the agents of a mode ends in: nothing for the default. (list $ mode) */ -}}
{{- define "farrier.modeSuffix" -}}
{{- $top := index . 0 -}}{{- $mode := index . 1 -}}
{{- if ne $mode $top.Values.devicePlugin.mode }}-{{ lower $mode }}{{ end -}}
{{- end }}

{{- /* The values of a component, as JSON, with the nodes of a mode only: (list $ componentValues mode). */ -}}
{{- define "farrier.ofMode" -}}
{{- $top := index . 0 -}}{{- $c := deepCopy (index . 1) -}}{{- $mode := index . 2 -}}
{{- if $top.Values.devicePlugin.modeByLabel -}}
{{- if dig "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "" $c.affinity -}}
{{- fail "devicePlugin.modeByLabel makes a nodeAffinity of its own: use nodeSelector instead of affinity.nodeAffinity" -}}
{{- end -}}
{{- $other := ternary "HostService" "DaemonSet" (eq $top.Values.devicePlugin.mode "DaemonSet") -}}
{{- $op := ternary "NotIn" "In" (eq $mode $top.Values.devicePlugin.mode) -}}
{{- $expr := dict "key" "farrier.dev/device-plugin-mode" "operator" $op "values" (list $other) -}}
{{- $need := dict "nodeSelectorTerms" (list (dict "matchExpressions" (list $expr))) -}}
{{- $_ := set $c "affinity" (mustMergeOverwrite (deepCopy $c.affinity) (dict "nodeAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" $need))) -}}
{{- end -}}
{{- $c | toJson -}}
{{- end }}

{{- /* Suffixes of the agents' names: keys that only some nodes may see make agents of their own for these. */ -}}
{{- define "farrier.agentRoles" -}}
{{- $c := .Values.driverBuilder -}}
{{- if and $c.signingSecrets (not $c.signingNodes) -}}
{{- fail "driverBuilder.signingSecrets needs driverBuilder.signingNodes: the names of the nodes that sign, or [\"*\"] for all" -}}
{{- end -}}
{{- ternary (list "" "-signer") (list "") (and (gt (len $c.signingSecrets) 0) (not (has "*" $c.signingNodes))) | toJson -}}
{{- end }}

{{- /* Components of the agents: each has a service account. */ -}}
{{- define "farrier.agents" -}}
{{- $names := list -}}
{{- range include "farrier.agentRoles" . | fromJsonArray }}{{ $names = append $names (print "driver-builder" .) }}{{ end -}}
{{- $names | toJson -}}
{{- end }}

{{- /* LIST $ COMPONENT ROLE AFFINITY: values of a component for the nodes of one role, which are told apart by name: a node may
     label itself, but not call itself otherwise. AFFINITY: the user's. */ -}}
{{- define "farrier.ofRole" -}}
{{- $top := index . 0 -}}{{- $c := deepCopy (index . 1) -}}{{- $role := index . 2 -}}
{{- if gt (len (include "farrier.agentRoles" $top | fromJsonArray)) 1 -}}
{{- if dig "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "" (index . 3) -}}
{{- fail "driverBuilder.signingNodes makes a nodeAffinity of its own: use nodeSelector instead of affinity.nodeAffinity" -}}
{{- end -}}
{{- $term := dig "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" (list (dict)) $c.affinity | first -}}
{{- $terms := list -}}{{- $fields := list -}}
{{- range $node := $top.Values.driverBuilder.signingNodes -}}
{{- $terms = append $terms (merge (dict "matchFields" (list (dict "key" "metadata.name" "operator" "In" "values" (list $node)))) $term) -}}
{{- $fields = append $fields (dict "key" "metadata.name" "operator" "NotIn" "values" (list $node)) -}}
{{- end -}}
{{- if not $role -}}{{- $terms = list (merge (dict "matchFields" $fields) $term) -}}{{- end -}}
{{- $need := dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) -}}
{{- $_ := set $c "affinity" (mustMergeOverwrite (deepCopy $c.affinity) (dict "nodeAffinity" $need)) -}}
{{- end -}}
{{- $c | toJson -}}
{{- end }}

{{- /* Options of the plugin as a service of the host, in one argument of the agent. */ -}}
{{- define "farrier.pluginArgs" -}}
{{- $args := list "--kubelet-dir" (printf "%s/device-plugins" .Values.kubelet.root) "--cdi-dir" .Values.host.cdiDir "--run" .Values.host.runDir -}}
{{- with .Values.devicePlugin.metricsPort }}{{ $args = concat $args (list "--metrics" (printf ":%v" .)) }}{{ end -}}
{{- printf "--plugin-args=%s" (join " " (concat $args .Values.devicePlugin.extraArgs)) -}}
{{- end }}
