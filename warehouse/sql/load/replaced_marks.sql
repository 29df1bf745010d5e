{% if delivery.replaces == "window" %}
window_start >= {{ delivery.window_start | literal }}::DATE AND window_end <= {{ delivery.window_end | literal }}::DATE
{% else %}
scope = {{ delivery.scope | literal }}
{% endif %}
