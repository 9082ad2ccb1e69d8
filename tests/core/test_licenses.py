"""Which licences a policy takes."""

import pytest

from tenuto.core.errors import UsageError
from tenuto.core.licenses import check_license
from tenuto.core.manifest import Policy


@pytest.mark.parametrize(
    ("policy", "license_name"),
    [
        (Policy(), "cc-by-nc-4.0"),
        (Policy(), None),
        (Policy(licenses=("MIT",)), "mit"),
        (Policy(licenses=("mit",)), None),
        (Policy(refused_licenses=("cc-by-nc-4.0",)), "mit"),
    ],
)
def test_taken(policy: Policy, license_name: str | None) -> None:
    check_license(policy, license_name)


@pytest.mark.parametrize(
    ("policy", "license_name", "said"),
    [
        (Policy(licenses=("mit",)), "apache-2.0", "mit"),
        (Policy(licenses=()), "mit", "none"),
        (Policy(refused_licenses=("CC-BY-NC-4.0",)), "cc-by-nc-4.0", "another source"),
        (Policy(unknown_license="refuse"), None, "unknown_license"),
    ],
)
def test_refused(policy: Policy, license_name: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_license(policy, license_name)
    assert caught.value.code == "LicenseRefused"
    assert said in str(caught.value.hint)
