{#- How many changes of any rule's validity lie on or before the charge's day. -#}
{% if boundaries -%}
len(list_filter([{% for day in boundaries %}DATE {{ day | literal }}{{ ", " if not loop.last }}{% endfor %}], lambda day: day <= charge_date))::INTEGER
{%- else -%}
0::INTEGER
{%- endif -%}
