"""Members of a tenant, and how one becomes one."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.mailed import AcceptPolicy, AllowHttp, agreed, line, opened
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.domain.people import Invitation
from alphapulse.domain.tenancy import Member, Role, parse_email, parse_role

members = group()

_Email = Annotated[str, typer.Argument(metavar="EMAIL")]


@members.command("list")
def list_members(ctx: typer.Context) -> None:
    """The members of the tenant."""
    run = invocation(ctx)
    columns = [
        Column[Member]("EMAIL", lambda item: item.email),
        Column[Member]("ROLE", lambda item: str(item.role)),
        Column[Member]("SINCE", lambda item: time(item.created_at)),
    ]
    page = run.client.people.members()
    run.output.rows(page, columns, key=lambda item: item.email, following=page.next, empty="No member yet.")


@members.command("invite")
def invite(
    ctx: typer.Context,
    email: _Email,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="tenant_admin, trader or viewer.")] = "viewer",
) -> None:
    """Offer somebody a membership by mail, for seven days; inviting again ends the earlier link."""
    run = invocation(ctx)
    show_invitation(run, run.client.people.invite(parse_email(email), parse_role(role)))


def show_invitation(run: Invocation, made: Invitation) -> None:
    run.output.record(
        made,
        [
            ("invited", made.email),
            ("role", str(made.role)),
            ("open until", time(made.expires_at)),
            ("link", made.link or NONE),
        ],
        key=made.link or made.email,
    )
    if made.link:
        run.output.note("No mail leaves this daemon: hand them the link. They run `alphapulse members accept LINK`.")


@members.command("invitations")
def invitations(ctx: typer.Context) -> None:
    """Who was invited, and what became of it."""
    run = invocation(ctx)
    columns = [
        Column[Invitation]("EMAIL", lambda item: item.email),
        Column[Invitation]("ROLE", lambda item: str(item.role)),
        Column[Invitation]("BY", lambda item: item.invited_by),
        Column[Invitation]("UNTIL", lambda item: time(item.expires_at)),
        Column[Invitation]("ACCEPTED", lambda item: time(item.accepted_at)),
        Column[Invitation]("WITHDRAWN", lambda item: time(item.withdrawn_at)),
    ]
    page = run.client.people.invitations()
    run.output.rows(page, columns, key=lambda item: item.email, following=page.next, empty="Nobody was invited yet.")


@members.command("withdraw")
def withdraw(ctx: typer.Context, email: _Email) -> None:
    """End an open invitation; its link is dead."""
    run = invocation(ctx)
    ended = run.client.people.withdraw_invitation(parse_email(email))
    run.output.record(ended, [("withdrawn", ended.email)], key=ended.email)


@members.command("accept")
def accept(
    ctx: typer.Context,
    link: Annotated[str, typer.Argument(metavar="LINK", help="From the mail: the whole link, or its token alone.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
    ] = False,
    accept_policy: AcceptPolicy = None,
    allow_http: AllowHttp = False,
) -> None:
    """Accept an invitation: with a new password, or with the one of the account you have."""
    run = invocation(ctx)
    with opened(run, link, allow_http=allow_http) as (client, token):
        offer = client.people.look(token)
        run.output.note(f"{offer.invited_by} invites {offer.email} to {offer.name} ({offer.tenant}) as {offer.role}.")
        version = agreed(run, client, offer.policy_version, accept_policy)
        if password_stdin:
            password = line()
        elif offer.has_account:
            password = run.ask(f"Password of {offer.email}", "--password-stdin", hidden=True)
        else:
            password = run.ask("New password", "--password-stdin", hidden=True, twice=True)
        joined = client.people.accept(token, password, version)
        url = client.target.url
    run.output.record(
        joined, [("member", joined.email), ("tenant", offer.tenant), ("role", str(joined.role))], key=joined.email
    )
    run.output.note(f"Now log in: alphapulse login {url} --email {joined.email}")


@members.command("role")
def change_role(
    ctx: typer.Context,
    email: _Email,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="tenant_admin, trader or viewer.")],
) -> None:
    """Give a member another role, at once; keys of theirs that may more are revoked."""
    run = invocation(ctx)
    address, wanted = parse_email(email), parse_role(role)
    run.confirm(f"Make {address} a {wanted}?")
    changed = run.client.people.change_role(address, wanted)
    run.output.record(changed, [("email", changed.email), ("role", str(changed.role))], key=changed.email)


@members.command("transfer")
def transfer(
    ctx: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The member who becomes the tenant's admin.")],
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="What you are afterwards: trader or viewer.")
    ] = Role.TRADER.value,
) -> None:
    """Hand the tenant over: another member becomes its admin in your place."""
    run = invocation(ctx)
    address, left = parse_email(email), parse_role(role)
    run.confirm(f"Make {address} the tenant's admin, and yourself a {left}?")
    heir = run.client.people.transfer(address, left)
    run.output.record(heir, [("admin", heir.email), ("you are now", str(left))], key=heir.email)


@members.command("remove")
def remove(ctx: typer.Context, email: _Email) -> None:
    """End a membership; its sessions and keys in the tenant end with it."""
    run = invocation(ctx)
    run.confirm(f"Remove {email} from the tenant?")
    run.client.people.remove_member(email)
    run.output.record({"email": email}, [("removed", email)], key=email)
