"""FACE: the pages that people look at in a browser, below `/ui` on the admin plane. Made on the server, without a build step, without a
script of anybody else; they work without JavaScript.

    page        what a page is: a name, a path, the right it wants, one function that knows its data, a template
    pages/      SHELF: one file a page (add the file and its line in `pages/__init__.py`)
    rooms       routes: every page with its `.json` and `.csv` twins from the same function, forms, files
    door        who is asking: session cookies, tokens against forged forms, the way in for those who are not signed in
    entrance    signing in and out, invitations
    by_issuer   signing in by an issuer (OpenID Connect)
    accounts    people's accounts and the browsers that are signed in; they lie in the state store
    rendering   Jinja2 with autoescape; how times, money and hostile text are shown
    charts      SVG made here, each with the table behind it; plots: one of an answer to SQL, by columns that the address names
    decisions   what a recorded call can be asked again; what_if: all of the last hours, under a text that somebody pastes
    differences two texts line by line; conversations: what was said, in one form
    filters     the language in which pages are asked for exchanges, and as SQL
    own         the house as somebody sees it who is bound to teams
    wanted      what such a page wants: filter, bounds in time, where it goes on

The journal and the ledger are not known here: pages ask by `House`, which the book fills. What models, tools and callers have written is
hostile: it is escaped in every place, never becomes an attribute that acts, and no page may load or run anything that is not one of the
files in `static/` (Content-Security-Policy, `door.SECURITY`).
"""
