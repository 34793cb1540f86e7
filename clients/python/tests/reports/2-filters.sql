---
id: 2
title: Filters
shared_with: everyone
filters:
  text: {type: text}
  number: {type: number, default: 5}
  flag: {type: boolean}
  day: {type: date}
  moment: {type: datetime}
  ids: {type: list, of: number}
  names: {type: list}
---
select {{ text }}::text as text, {{ number }}::text as number, {{ flag }}::boolean as flag, {{ day }}::date as day,
    {{ moment }}::timestamp as moment, list_value({{ ids }})::text as ids, list_value({{ names }})::text as names
