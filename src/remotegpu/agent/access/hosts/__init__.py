"""Small processes beside the agent: the shell host, which owns a terminal, and the SFTP server.

Standard library only, and started without site-packages (``python -I -S``): they must start in milliseconds, stay
small, and outlive the agent. They are started by the agent's user and take the customer's identity themselves,
because the interpreter may lie where the customer cannot read it (``/root`` is 0700).
"""
