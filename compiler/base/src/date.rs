//! Dates of the proleptic Gregorian calendar as days since 1970-01-01.

/// The day's number. Months beyond 12 count on into the next years.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    // Years begin in March here, so that the leap day is the last of one; 146 097 days make 400 years.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day's number.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `2001-01`, `2001-01-15` or `2001-01-15T06:00` as days. `None`: it is no date.
pub fn parse(text: &str) -> Option<f64> {
    let (date, clock) = text.split_once('T').map_or((text, None), |(date, clock)| (date, Some(clock)));
    let mut numbers = date.splitn(3, '-').map(|n| n.parse::<i64>().ok());
    let (year, month) = (numbers.next()??, numbers.next()??);
    let day = numbers.next().unwrap_or(Some(1))?;
    if !(1..=12).contains(&month) || civil(days(year, month, day)) != (year, month, day) {
        return None;
    }
    let mut of_day = 0.0;
    for (number, share) in clock.into_iter().flat_map(|c| c.splitn(3, ':')).zip([24.0, 1440.0, 86400.0]) {
        of_day += number.parse::<f64>().ok()? / share;
    }
    Some(days(year, month, day) as f64 + of_day)
}

/// A moment some months later: the same day of the month, or its last.
pub fn months_later(moment: f64, months: i64) -> f64 {
    let (year, month, day) = civil(moment.floor() as i64);
    let last = days(year, month + months + 1, 1) - days(year, month + months, 1);
    days(year, month + months, day.min(last)) as f64 + moment.rem_euclid(1.0)
}

/// The year of a moment.
pub fn year(moment: f64) -> i64 {
    civil(moment.floor() as i64).0
}

/// The month of a moment, 1 to 12.
pub fn month(moment: f64) -> i64 {
    civil(moment.floor() as i64).1
}

/// The day of its year, 1 to 366.
pub fn day_of_year(moment: f64) -> i64 {
    moment.floor() as i64 - days(year(moment), 1, 1) + 1
}

/// A moment in years: 2001.5 is the middle of 2001.
pub fn years(moment: f64) -> f64 {
    let year = year(moment);
    let (first, next) = (days(year, 1, 1) as f64, days(year + 1, 1, 1) as f64);
    year as f64 + (moment - first) / (next - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        assert_eq!((days(1970, 1, 1), days(2000, 2, 29), days(1969, 12, 31)), (0, 11_016, -1));
        for day in (-800_000..800_000).step_by(97) {
            let (y, m, d) = civil(day);
            assert_eq!(days(y, m, d), day);
        }
    }

    #[test]
    fn texts() {
        assert_eq!(parse("2001-01"), Some(days(2001, 1, 1) as f64));
        assert_eq!(parse("2001-01-15T06:00"), Some(days(2001, 1, 15) as f64 + 0.25));
        for wrong in ["2001", "2001-13", "2001-02-30", "soon", "2001-02-03Tx"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parts_of_moments() {
        let moment = days(2004, 3, 31) as f64 + 0.5;
        assert_eq!((year(moment), month(moment), day_of_year(moment)), (2004, 3, 91));
        assert_eq!(months_later(moment, 1), days(2004, 4, 30) as f64 + 0.5);
        assert_eq!(months_later(moment, -13), days(2003, 2, 28) as f64 + 0.5);
        assert_eq!(years(days(2001, 1, 1) as f64), 2001.0);
    }
}
