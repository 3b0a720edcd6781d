"""Where people are told that something failed: robots of WeCom, DingTalk and Feishu, webhooks, e-mail.

One module per kind decides what is sent, pure; ``sending`` is the only place that sends.
"""
