"""What a call of each route about accounts is called in the audit log; `test_account_api.py` makes each of them."""

ACCOUNT_DEEDS = {
    "POST /api/organizations": "member.set",
    "PUT /api/organizations/{organization}": "organization.change",
    "PUT /api/organizations/{organization}/members/{user}": "member.set",
    "DELETE /api/organizations/{organization}/members/{user}": "member.remove",
    "POST /api/organizations/{organization}/leave": "member.remove",
    "POST /api/accounts/{account}/services": "service.change",
    "PUT /api/accounts/{account}/services/{service}": "service.change",
    "POST /api/accounts/{account}/tokens": "token.create",
    "DELETE /api/accounts/{account}/tokens/{token}": "token.revoke",
    "POST /api/hub/accounts": "user.add",
    "PUT /api/hub/accounts/{account}": "user.change",
    "POST /api/hub/invitations": "user.change",
}
FORM_DEEDS = {
    "POST /login": "sign-in.ok",
    "POST /logout": "sign-out",
    "POST /login/elsewhere": "sign-in.ok",
    "POST /settings/elsewhere": "user.change",
    "POST /join": "sign-in.ok",
    "POST /settings/people/invite": "user.change",
    "POST /settings/people/change": "user.change",
    "POST /settings/profile": "user.change",
    "POST /settings/password": "password.set",
    "POST /settings/sessions": "sign-out",
    "POST /settings/tokens": "token.create",
    "POST /settings/tokens/revoke": "token.revoke",
    "POST /settings/services": "service.change",
    "POST /settings/services/change": "token.create",
    "POST /organizations/new": "member.set",
    "POST /organizations/{organization}/settings/members": "member.set",
    "POST /organizations/{organization}/settings/services": "service.change",
    "POST /organizations/{organization}/settings/services/change": "service.change",
    "POST /organizations/{organization}/leave": "member.remove",
}
"""The same for the forms of pages, which `signin/test_account_pages.py` and `signin/test_elsewhere.py` send."""
