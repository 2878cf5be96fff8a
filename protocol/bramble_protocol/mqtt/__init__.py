"""A household's MQTT broker: what a client or a server tells it, what a sensor hears from it, and how Home Assistant is told of both.

No part of the contract between client and server. It is here because both speak it; paho-mqtt, of the extra ``mqtt``, is imported only
where a broker is named.
"""
