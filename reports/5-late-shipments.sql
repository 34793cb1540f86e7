---
id: 5
title: Late shipments
description: |
  What arrived after its promised date, by ship mode, or line by line.
  Line by line it lists the item, its supplier and the days it was late.
cache: 10m
filters:
  since:
    type: datetime
    label: Received at or after
    default: 1998-06-01 00:00
  level:
    type: dropdown
    label: Show
    required: true
    default: summary
    values:
      summary: One row for each ship mode
      lines: Every late line item
  modes:
    type: list
    label: Ship modes
    values: [AIR, FOB, MAIL, RAIL, REG AIR, SHIP, TRUCK]
  days:
    type: number
    label: Late by at least (days)
    default: 1
    required: true
---
select
    {{#if level == 'lines'}}
    l_orderkey as order_key,
    l_linenumber as line_number,
    s_name as supplier,
    l_shipmode as ship_mode,
    l_commitdate as promised,
    l_receiptdate as received,
    l_receiptdate - l_commitdate as days_late
    {{#else}}
    l_shipmode as ship_mode,
    count(*) as line_items,
    count(distinct l_suppkey) as suppliers,
    avg(l_receiptdate - l_commitdate) as average_days_late,
    max(l_receiptdate - l_commitdate) as most_days_late
    {{#endif}}
from lineitem
join supplier on s_suppkey = l_suppkey
where l_receiptdate - l_commitdate >= {{ days }}
    [[and l_receiptdate >= {{ since }}]]
    [[and l_shipmode in ( {{ modes }} )]]
{{#if level == 'lines'}}
order by days_late desc, order_key, line_number
{{#else}}
group by l_shipmode
order by line_items desc, ship_mode
{{#endif}}
