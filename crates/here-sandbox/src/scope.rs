//! The forms that a scope can have: `openid`, `openid` with group ids, or the HRN of a project.

/// The partitions of HERE's resource names.
const PARTITIONS: [&str; 4] = ["here", "here-dev", "here-cn", "here-cn-dev"];

/// Whether HERE documents a scope of this form.
///
/// Either `openid`, or `openid sdp:GROUP-…,GROUP-…`, or
/// `hrn:<partition>:authorization::<realm>:project/<project id>`.
pub(crate) fn is_well_formed(scope: &str) -> bool {
    match scope.strip_prefix("openid") {
        Some("") => true,
        Some(rest) => rest.strip_prefix(" sdp:").is_some_and(is_group_list),
        None => is_project(scope),
    }
}

/// Whether these are the HRNs of several projects.
pub(crate) fn is_several_projects(scope: &str) -> bool {
    scope.contains(' ') && scope.split(' ').all(is_project)
}

fn is_group_list(groups: &str) -> bool {
    groups.split(',').all(|group| group.strip_prefix("GROUP-").is_some_and(is_name))
}

/// Whether this is the HRN of one project.
pub(crate) fn is_project(hrn: &str) -> bool {
    let parts: Vec<&str> = hrn.split(':').collect();
    // The region, between service and realm, is empty: authorization is not regional.
    let ["hrn", partition, "authorization", "", realm, resource] = parts.as_slice() else {
        return false;
    };
    PARTITIONS.contains(partition) && is_name(realm) && resource.strip_prefix("project/").is_some_and(is_name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_forms_are_well_formed() {
        let scopes = [
            "openid",
            "openid sdp:GROUP-1234-abcd",
            "openid sdp:GROUP-1,GROUP-2",
            "hrn:here:authorization::rlm0000:project/my-project-0000",
            "hrn:here-cn-dev:authorization::myrealm:project/p1",
        ];
        for scope in scopes {
            assert!(is_well_formed(scope), "{scope}");
        }
    }

    #[test]
    fn several_projects_are_told_from_other_nonsense() {
        let project = "hrn:here:authorization::r:project/p";
        assert!(is_several_projects(&format!("{project} {project}2 {project}3")));
        for other in [
            project,
            "",
            " ",
            "openid openid",
            &format!("{project} openid"),
            &format!("{project}  {project}"),
        ] {
            assert!(!is_several_projects(other), "{other}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let scopes = [
            "",
            "scope",
            "openid ",
            "openidx",
            "OPENID",
            "openid sdp:",
            "openid sdp:GROUP-1,",
            "openid sdp:TEAM-1",
            "openid openid",
            " hrn:here:authorization::r:project/p",
            "hrn:here:authorization::r:project/",
            "hrn:here:authorization::r:group/p",
            "hrn:here:authorization:::project/p",
            "hrn:here:authorization:eu:r:project/p",
            "hrn:here:data::r:project/p",
            "hrn:there:authorization::r:project/p",
            "hrn:here:authorization::r:project/p:x",
            "hrn:here:authorization::r:project/p hrn:here:authorization::r:project/q",
            "hrn:here:authorization::r:project/ü",
        ];
        for scope in scopes {
            assert!(!is_well_formed(scope), "{scope}");
        }
    }
}
