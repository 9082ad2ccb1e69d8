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
}
