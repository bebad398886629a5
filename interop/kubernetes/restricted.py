"""Kubernetes' Pod Security Standard "restricted", as far as a pod's specification can break it, and what we ask for beyond it."""

# Everything else can bring in something of the machine.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(spec):
    """Says what is wrong with a pod's specification."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    pod = spec.get("securityContext", {})
    found += ["sysctls"] if pod.get("sysctls") else []
    for volume in spec.get("volumes", []):
        found += [f"volume {volume['name']}: {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    if spec.get("automountServiceAccountToken") is not False:
        found.append("a token of the ServiceAccount is mounted")
    for container in spec.get("initContainers", []) + spec["containers"]:
        found += [f"{container['name']}: {what}" for what in container_violations(container, pod)]
    return found


def container_violations(container, pod):
    """What a container says beats what its pod says."""
    own = container.get("securityContext", {})

    def setting(key):
        return own.get(key, pod.get(key))

    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if setting("runAsNonRoot") is not True:
        yield "may run as root"
    if setting("runAsUser") == 0:
        yield "runs as root"
    if (setting("seccompProfile") or {}).get("type") not in SECCOMP:
        yield "no seccomp profile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    # Beyond the standard.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "a root file system that can be written to"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "no limit of memory"
    if any("secretKeyRef" in variable.get("valueFrom", {}) for variable in container.get("env", [])):
        yield "a secret in the environment"
    if any(mount.get("subPath") for mount in container.get("volumeMounts", [])):
        yield "subPath, which never changes"
