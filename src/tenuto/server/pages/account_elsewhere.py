"""Signing in by another issuer: off to it, back from it, and a name for whoever comes for the first time."""

from tenuto.core.errors import AccessDeniedError, TenutoError
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.account import NO_STORE, signed_in
from tenuto.server.pages.render import own_place, redirect, render
from tenuto.server.people.accounts import Account, Kind, find_account
from tenuto.server.people.change import Change, changing
from tenuto.server.signin import elsewhere
from tenuto.server.signin.elsewhere import Errand, Proof
from tenuto.server.signin.sessions import begin_session


def go(parts: Parts, call: Call) -> Answer:
    """Off to the issuer."""
    place, cookie = elsewhere.begin(parts, call, own_place(call.text("next") or "/"))
    return Answer(303, {"Location": place, "Set-Cookie": cookie, **NO_STORE})


def add_way(parts: Parts, call: Call) -> Answer:
    """The same, to add this way to one's account. It is a form and then a link: nobody is made to add the way of somebody else."""
    place, cookie = elsewhere.begin(parts, call, "/settings", call.actor.user_id)
    headers = {**NO_STORE, "Set-Cookie": cookie}
    return render("account/go_on.html", call, headers=headers, provider=parts.provider, place=place)


def back(parts: Parts, call: Call) -> Answer:
    """Back from the issuer: signed in, with a way more, or asked for a name."""
    errand, proof = elsewhere.come_back(parts, call)
    if errand.user_id:
        return _add(parts, call, errand, proof)
    with changing(parts, call.origin) as change:
        account = elsewhere.account_of(change.connection, proof)
        if account is not None:
            return _sign_in(parts, change, call, account, errand.next)
    _check_open(parts)
    return _name_page(parts, call, proof, errand.next)


def _check_open(parts: Parts) -> None:
    if not elsewhere.provider_of(parts).new_accounts:
        raise AccessDeniedError("this hub takes new people by invitation", hint="ask whoever runs it for a link")


def _add(parts: Parts, call: Call, errand: Errand, proof: Proof) -> Answer:
    if errand.user_id != call.actor.user_id:
        raise AccessDeniedError("somebody else is signed in here by now", hint="begin once more")
    with changing(parts, call.origin) as change:
        elsewhere.link(change, find_account(change.connection, call.actor.name, Kind.USER), proof)
    return redirect("/settings")


def _sign_in(parts: Parts, change: Change, call: Call, account: Account, place: str) -> Answer:
    cookie = begin_session(change, parts.limits, account, call)
    change.by(account.id, account.name).record(Deed.SIGN_IN, account.name, kind="elsewhere")
    return signed_in(own_place(place), cookie)


def _name_page(parts: Parts, call: Call, proof: Proof, place: str, fault: TenutoError | None = None) -> Answer:
    form = call.form() if call.method == "POST" else {}
    values = {
        "proof": elsewhere.sealed(parts, proof),
        "next": place,
        "name": form.get("name", proof.name)[:96],
        "full_name": form.get("full_name", proof.full_name),
        "provider": parts.provider,
        "fault": fault,
    }
    status = fault.http_status if fault else 200
    headers = {**NO_STORE, "Set-Cookie": elsewhere.forget(call)}
    return render("account/name.html", call, status=status, headers=headers, **values)


def settle_name(parts: Parts, call: Call) -> Answer:
    """Make the account of whoever came for the first time, and sign the browser in."""
    form = call.form()
    _check_open(parts)
    proof = elsewhere.opened(parts, form.get("proof", ""), Proof)
    place = own_place(form.get("next", "/"))
    try:
        with changing(parts, call.origin) as change:
            account = elsewhere.make_account(change, proof, form.get("name", "").strip(), form.get("full_name", ""))
            return _sign_in(parts, change, call, account, place)
    except TenutoError as error:
        return _name_page(parts, call, proof, place, error)
