"""The first few Pis without Ansible: identities, a server, and one line to paste on each Pi, which installs a client there as a service.

What a Pi fetches is checked before it runs. The line carries the SHA-256 of the script; the script carries the fleet's authority and the
SHA-256 of the wheel. So it matters little over what they come, and they come over plain HTTP. The line's token is read from a pipe and
stands in no URL and in no list of processes.
"""
