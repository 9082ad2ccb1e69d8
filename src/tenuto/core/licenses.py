"""Which licences a project takes."""

from tenuto.core.errors import UsageError
from tenuto.core.manifest import MANIFEST_NAME, Policy


def check_license(policy: Policy, license_name: str | None) -> None:
    """Return if the policy allows the licence that a card states, None if it states none; raises UsageError (LicenseRefused)."""
    if license_name is None:
        if policy.unknown_license == "refuse":
            raise _refused(
                "it states no licence, and the policy refuses that",
                "take another source, or set policy.unknown_license",
            )
        return
    name = license_name.lower()
    if name in map(str.lower, policy.refused_licenses):
        raise _refused(f"the policy refuses the licence {license_name}", "take another source")
    if policy.licenses is not None and name not in map(str.lower, policy.licenses):
        allowed = ", ".join(policy.licenses) or "none"
        raise _refused(
            f"the licence {license_name} is not among those that the policy allows", f"allowed are: {allowed}"
        )


def _refused(what: str, hint: str) -> UsageError:
    return UsageError(what, code="LicenseRefused", hint=f"{hint}; the policy is in {MANIFEST_NAME}")
